"""A worker's log: that of all of Trainyard, with the engine's lines in it."""

from core import logs
from core.settings import Settings


def set_up_logging(settings: Settings) -> None:
    """Log what the operator asked for."""
    logs.set_up_logging(settings, ["worker", "engine", "core"])
