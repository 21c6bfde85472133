"""What an attempt takes of its machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

from worker import machine


class Usage:
    """Weighs the process it is in.

    Args:
        device: Where it computes, in torch's words.
        now: The clock; a steady one.
        worked: How many seconds processors have worked for it so far.
    """

    def __init__(
        self,
        device: str,
        now: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.process_time,
    ) -> None:
        self._device, self._now, self._worked = device, now, worked
        self._last = (now(), worked())
        self._cores: float | None = None
        self._peak_bytes = 0

    def read(self) -> dict[str, Any]:
        """Tell the device, the memory held now and at most so far, and how many cores were busy since the last time."""
        held = machine.held_bytes(os.getpid())
        self._peak_bytes = max(self._peak_bytes, held)
        now, worked = self._now(), self._worked()
        if now > self._last[0]:
            self._cores = (worked - self._last[1]) / (now - self._last[0])
        self._last = (now, worked)
        told = {
            "device": self._device,
            "cores": self._cores,
            "memory_bytes": held,
            "peak_memory_bytes": self._peak_bytes,
        }
        return told | self._gpu() if self._device.startswith("cuda") else told

    def _gpu(self) -> dict[str, Any]:
        return {
            "device_name": torch.cuda.get_device_name(self._device),
            "gpu_memory_bytes": torch.cuda.memory_reserved(self._device),
            "peak_gpu_memory_bytes": torch.cuda.max_memory_reserved(self._device),
        }
