"""How a worker's places are shared out: by kind of job, and by GPU where there is one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from core.leases import EXPRESS, TRAINING
from core.settings import Settings
from worker import machine


@dataclass(frozen=True)
class Lane:
    """Places for one kind of job; its runners all see the same GPU.

    Args:
        kind: Of the jobs.
        places: How many of them run at once.
        gpu: Which one its runners see; "" for none, and None for whatever the worker itself sees.
        threads: How many each runner computes with, unless the operator has said so; the same in every lane.
    """

    kind: str
    places: int
    gpu: str | None = None
    threads: int = 1

    @property
    def own(self) -> dict[str, str]:
        """What its runners find in their environment beside what all runners do."""
        return {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}

    @property
    def shared(self) -> dict[str, str]:
        """What all runners of a worker find in their environment: all of the worker's, and their share of its cores."""
        return {"OMP_NUM_THREADS": str(self.threads)} | os.environ


def lanes_of(settings: Settings, places: Mapping[str, int] | None = None) -> list[Lane]:
    """Make a worker's lanes; where there are several GPUs, its places take turns on them."""
    places = places or {TRAINING: settings.worker_slots, EXPRESS: 1}
    gpus: list[str | None] = [*machine.gpus(settings.gpus)] or [None if settings.gpus else ""]
    threads = max(1, machine.cores() // settings.worker_slots)
    return [
        Lane(kind, len(range(place, count, len(gpus))), gpu, threads)
        for kind, count in places.items()
        for place, gpu in enumerate(gpus[:count])
    ]
