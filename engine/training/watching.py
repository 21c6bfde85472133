"""What a training run tells while it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.callbacks import Logs


class Watcher(Protocol):
    """What a training run tells; any of these may raise to leave, and the state is then consistent."""

    def batch(self) -> None:
        """Hear that a batch is done, or that the first one waits for the compiler."""
        ...

    def epoch(self, epoch: int, logs: Logs) -> None:
        """Hear that an epoch is done, validation included."""
        ...

    def artifact(self, name: str, write: Callable[[Path], object]) -> None:
        """Keep a file that a callback asks for."""
        ...

    def warning(self, message: str) -> None:
        """Hear of something the user should know."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a run is; the phase is "compile", "fit", "evaluate" or "predict", `metrics` the epoch's means so far."""

    phase: str
    epoch: int
    nb_epoch: int
    step: int
    total_steps: int
    samples: int
    metrics: Logs
