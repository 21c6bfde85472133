"""Random tensors for a training step: which ones follows from the model, their values from seed and step alone."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor

from engine.run import Recorder

_MASK = 2**64 - 1


def mix(seed: int, step: int) -> int:
    """Scramble a seed and a step into 64 bits (splitmix64), so that neighbours have nothing in common."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


class NoiseSource:
    """Draws what a training pass asks for.

    A pass is recorded once for every batch size; from then on one draw of each kind serves a whole step.

    Args:
        seed: The job's seed.
        device: Where the tensors are wanted.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.generator = torch.Generator(device)
        self._asked: dict[object, list[tuple[str, tuple[int, ...]]]] = {}

    def prepare(self, key: object, passing: Callable[[Recorder], object]) -> None:
        """Learn what a pass over batches of form `key` asks for, by one pass that leaves no trace."""
        if key not in self._asked:
            recorder = Recorder(str(self.generator.device))
            with torch.random.fork_rng(devices=[]):
                passing(recorder)
            self._asked[key] = recorder.asked

    def draw(self, key: object, step: int) -> list[Tensor]:
        """Draw the noise of one step, in the order it will be asked for."""
        asked = self._asked[key]
        if not asked:
            return []
        self.generator.manual_seed(mix(self.seed, step))
        queues = {kind: iter(self._kind(kind, asked)) for kind in {kind for kind, _ in asked}}
        return [next(queues[kind]) for kind, _ in asked]

    def _kind(self, kind: str, asked: list[tuple[str, tuple[int, ...]]]) -> list[Tensor]:
        shapes = [shape for each, shape in asked if each == kind]
        sizes = [prod(shape) for shape in shapes]
        draw = torch.rand if kind == "uniform" else torch.randn
        flat = draw(sum(sizes), generator=self.generator, device=self.generator.device)
        return [piece.view(shape) for piece, shape in zip(flat.split_with_sizes(sizes), shapes, strict=True)]
