"""What a layer may know of the pass it takes part in, and what it may leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Noise(Protocol):
    """A source of random tensors; every draw comes from the job's seed."""

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Draw evenly from 0 to 1."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Draw with mean 0 and deviation 1."""
        ...


class Run:
    """One pass through a model.

    Args:
        noise: Where random tensors come from; None outside training.
    """

    def __init__(self, noise: Noise | None = None) -> None:
        self._noise = noise
        self._path: list[str] = []
        self.penalties: list[Tensor] = []
        #: Which steps of the tensor on its way count, `(n, steps)`; a layer that ends or makes a mask sets it.
        self.mask: Tensor | None = None
        self.updates: dict[str, Tensor] = {}

    @property
    def training(self) -> bool:
        """Whether dropout and the like are active."""
        return self._noise is not None

    @property
    def noise(self) -> Noise:
        """The random stream of a training pass."""
        if self._noise is None:
            raise RuntimeError("only a training pass has noise")
        return self._noise

    def penalise(self, penalty: Tensor) -> None:
        """Add a scalar to the loss."""
        self.penalties.append(penalty)

    @contextmanager
    def scoped(self, name: str | None) -> Iterator[None]:
        """Enter the layer of that name: what it reports is kept under its name."""
        self._path.append(str(name))
        try:
            yield
        finally:
            self._path.pop()

    def update(self, name: str, value: Tensor) -> None:
        """Report the new value of an untrained weight or a memory of the layer that is running."""
        self.updates["/".join([*self._path, name])] = value


class Recorder:
    """A noise that draws for itself and remembers what it was asked for.

    Args:
        device: Where the tensors are wanted, in torch's words.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Draw evenly from 0 to 1."""
        import torch

        self.asked.append(("uniform", tuple(shape)))
        return torch.rand(shape, device=self.device)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Draw with mean 0 and deviation 1."""
        import torch

        self.asked.append(("normal", tuple(shape)))
        return torch.randn(shape, device=self.device)


class Replay:
    """A noise that hands out tensors drawn beforehand, in the order they will be asked for."""

    def __init__(self, drawn: Iterator[Tensor]) -> None:
        self._drawn = drawn

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Hand out the next tensor."""
        return next(self._drawn)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Hand out the next tensor."""
        return next(self._drawn)
