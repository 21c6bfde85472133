"""How far, how fast, how long still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.training.watching import Progress

#: How much of the newest speed goes into the shown one.
_FRESH = 0.5


class Meter:
    """Turns positions into the `progress` of a job.

    Args:
        now: The clock; a steady one.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last: tuple[float, int, int] | None = None
        self._samples: float | None = None
        self._steps: float | None = None

    def read(self, position: Progress) -> dict[str, Any]:
        """Say how far a training is, and how fast it has been since it was last asked."""
        self._measure(position)
        total = None if position.phase == "session" else position.total_steps
        left = max((total or 0) - position.step, 0)
        done = position.step / total if total else 0.0
        return {
            "phase": position.phase,
            "epoch": position.epoch,
            "nb_epoch": position.nb_epoch,
            "step": position.step,
            "total_steps": total,  # nobody knows how many steps a session will be sent
            "fraction": None if total is None else min(done, 1.0),
            "samples_per_second": self._samples,
            "eta_seconds": left / self._steps if self._steps and total is not None else None,
        }

    def _measure(self, position: Progress) -> None:
        if position.phase == "compile":
            return  # a first step that waits for the compiler says nothing of the speed
        now = self._now()
        if self._last is not None and now > self._last[0] and position.step > self._last[1]:
            seconds = now - self._last[0]
            self._steps = _blend(self._steps, (position.step - self._last[1]) / seconds)
            self._samples = _blend(self._samples, (position.samples - self._last[2]) / seconds)
        self._last = (now, position.step, position.samples)


def _blend(before: float | None, fresh: float) -> float:
    return fresh if before is None else _FRESH * fresh + (1 - _FRESH) * before
