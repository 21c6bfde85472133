"""A worker's log: to standard error, in UTC, saying which process speaks, and of which attempt."""

import logging
import sys
import time

from core.settings import Settings
from worker.protocol import Assignment


class About(logging.Filter):
    """Gives every line the attempt that this process works on, unless it names one itself."""

    def __init__(self) -> None:
        super().__init__()
        self.assignment: Assignment | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `job_id` and `attempt`; let everything pass."""
        if self.assignment is not None and not hasattr(record, "job_id"):
            record.__dict__.update(self.assignment.about)
        return True


class Formatter(logging.Formatter):
    """Writes what a line is about at its end."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        """Write one line."""
        line = super().formatMessage(record)
        job_id, attempt = getattr(record, "job_id", None), getattr(record, "attempt", None)
        return line if job_id is None else f"{line} [{job_id} attempt {attempt}]"


_about = About()


def talk_about(assignment: Assignment | None) -> None:
    """Let every line of this process be about an attempt from now on, whoever writes it."""
    _about.assignment = assignment
    for handler in logging.getLogger().handlers:
        handler.addFilter(_about)


def set_up_logging(settings: Settings) -> None:
    """Log what the operator asked for, and of others' libraries only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = Formatter("%(asctime)sZ %(process)d %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for ours in ("worker", "engine", "core"):
        logging.getLogger(ours).setLevel(settings.log_level.upper())
