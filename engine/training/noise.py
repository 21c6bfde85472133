"""Random tensors for a training step: which ones follows from the model, their values from seed and step alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from engine.run import Recorder

#: What a step asks for: kinds and shapes.
Asked = list[tuple[str, tuple[int, ...]]]

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
        self._asked: dict[object, Asked] = {}

    def prepare(self, key: object, passing: Callable[[Recorder], object]) -> None:
        """Learn what a pass over batches of form `key` asks for, by one pass that leaves no trace."""
        if key not in self._asked:
            recorder = Recorder(str(self.generator.device))
            with torch.random.fork_rng(devices=[]):
                passing(recorder)
            self._asked[key] = recorder.asked

    def asked(self, key: object) -> Asked:
        """Tell what a pass over batches of form `key` asks for."""
        return self._asked[key]

    def draw(self, key: object, step: int) -> list[Tensor]:
        """Draw the noise of one step, in the order it will be asked for."""
        asked = self._asked[key]
        return cut(asked, [flat[0] for flat in self.flats(key, range(step, step + 1))]) if asked else []

    def flats(self, key: object, steps: range) -> list[Tensor]:
        """Draw the noise of several steps: for each kind one row a step, `(steps, numbers)`."""
        device = self.generator.device
        flats = [torch.empty(len(steps), width, device=device) for width in widths(self._asked[key])]
        draws = [DRAWS[kind] for kind in kinds_of(self._asked[key])]
        for row, step in enumerate(steps if flats else ()):
            self.generator.manual_seed(mix(self.seed, step))
            for flat, draw in zip(flats, draws, strict=True):
                draw(flat.shape[1], generator=self.generator, out=flat[row])
        return flats


DRAWS: dict[str, Callable[..., Tensor]] = {"uniform": torch.rand, "normal": torch.randn}


def kinds_of(asked: Asked) -> list[str]:
    """List the kinds of noise that a step asks for, in an order that is always the same."""
    return sorted({kind for kind, _ in asked})


def widths(asked: Asked) -> list[int]:
    """Count the numbers of each kind that a step asks for."""
    return [sum(prod(shape) for each, shape in asked if each == kind) for kind in kinds_of(asked)]


def cut(asked: Asked, flats: Sequence[Tensor]) -> list[Tensor]:
    """Cut one step's noise, a row for each kind, into the tensors it asks for, in that order."""
    queues = {}
    for kind, flat in zip(kinds_of(asked), flats, strict=True):
        sizes = [prod(shape) for each, shape in asked if each == kind]
        queues[kind] = iter(flat.split_with_sizes(sizes))
    return [next(queues[kind]).view(tuple(shape)) for kind, shape in asked]
