"""A job's arrays as tensors, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.compiled import Compile
from engine.errors import BadData, within
from engine.layer import Input
from engine.matching import Fed, as_rows
from engine.methods import Fit, Train
from engine.model import Sequential
from engine.sources import Array, Arrays

#: An array larger than this stays where it is, and its batches are read as they are needed.
RESIDENT_BYTES = 2 * 2**30
#: So much is gathered at a time: one gather serves many small batches.
BLOCK_BYTES = 64 * 2**20
#: How long an axis of any length is made where there is no data.
MADE_UP_LENGTH = 16

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Some samples: one tensor for each input, the targets, the weights; those of several steps may lie together."""

    x: tuple[Tensor, ...]
    y: Tensor | None
    w: Tensor | None
    steps: int = 1

    @property
    def size(self) -> int:
        """How many samples there are."""
        return int(self.x[0].shape[0])

    @property
    def key(self) -> tuple[object, ...]:
        """What a step that is prepared for batches of one form goes by."""
        return self.size // self.steps, self.w is not None, *(tuple(each.shape[1:]) for each in self.x)

    def tensors(self) -> list[Tensor]:
        """List all its tensors: inputs, targets, weights."""
        return [*self.x, *(each for each in (self.y, self.w) if each is not None)]


class Column:
    """One array, held as a tensor where it fits."""

    def __init__(self, array: Array, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = dtype
        self.device = device
        self.width = int(np.prod(array.shape[1:])) * dtype.itemsize
        self.array = array
        self.tensor = self._tensor(self.array) if len(array) * self.width <= RESIDENT_BYTES else None

    def _tensor(self, rows: Array) -> Tensor:
        numpy_dtype = np.float32 if self.dtype == torch.float32 else np.int64
        ready = np.require(rows, numpy_dtype, ["C", "W"])  # a copy only where it has to be: memory maps are read-only
        return torch.from_numpy(ready).to(self.device)

    def take(self, rows: Order | slice) -> Tensor:
        """Gather rows in the order given."""
        if self.tensor is None:
            return self._tensor(self.array[rows])
        if isinstance(rows, slice):
            return self.tensor[rows]
        return self.tensor.index_select(0, torch.from_numpy(rows).to(self.device))


class Feed:
    """The arrays of one use of a model, side by side.

    Args:
        x: One column for each input.
        y: The targets, if any.
        w: The weights, if any.
        rows: Which rows belong to it.
    """

    def __init__(self, x: Sequence[Column], y: Column | None, w: Column | None, rows: range) -> None:
        self.x, self.y, self.w, self.rows = tuple(x), y, w, rows

    def __len__(self) -> int:
        return len(self.rows)

    def steps(self, batch_size: int) -> int:
        """Count the batches; the last one may be short."""
        return ceil(len(self) / batch_size)

    def batches(
        self, batch_size: int, order: Order | None = None, start: int = 0, together: int = 1
    ) -> Iterator[Batch]:
        """Iterate over the batches from number `start` on, in the order given or as the rows lie.

        So many as shall lie `together` come as one, as long as there are as many whole ones.
        """
        columns = [*self.x, *(each for each in (self.y, self.w) if each)]
        group = batch_size * together
        stride = max(1, BLOCK_BYTES // (max(1, sum(each.width for each in columns)) * group)) * group
        for first in range(start * batch_size, len(self), stride):
            rows = self._rows(first, min(first + stride, len(self)), order)
            block = [each.take(rows) for each in columns]
            offset = 0
            while offset < len(block[0]):
                steps = together if offset + group <= len(block[0]) else 1
                yield self._batch([each[offset : offset + steps * batch_size] for each in block], steps)
                offset += steps * batch_size

    def stream(self, batch_size: int, start: int, samples: int) -> Iterator[Batch]:
        """Iterate over the batches again and again, from number `start` on, until so many samples have come."""
        number, seen = start, 0
        while seen < samples:
            for batch in self.batches(batch_size, None, number % self.steps(batch_size)):
                number, seen = number + 1, seen + batch.size
                yield batch
                if seen >= samples:
                    return

    def _rows(self, first: int, last: int, order: Order | None) -> Order | slice:
        if order is None:
            return slice(self.rows.start + first, self.rows.start + last)
        return order[first:last] + self.rows.start

    def _batch(self, tensors: list[Tensor], steps: int) -> Batch:
        inputs = len(self.x)
        rest = tensors[inputs:]
        return Batch(
            tuple(tensors[:inputs]),
            rest[0] if self.y else None,
            rest[-1] if self.w else None,
            steps,
        )


def order_of(fit: Fit, samples: int, seed: int, epoch: int) -> Order | None:
    """Return the order of an epoch's samples; it depends on the seed and the epoch alone."""
    if fit.shuffle is False:
        return None
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1, epoch])))
    if fit.shuffle is True:
        return rng.permutation(samples)
    whole = samples // fit.batch_size * fit.batch_size
    blocks = np.arange(whole).reshape(-1, fit.batch_size)
    return np.concatenate([rng.permutation(blocks).reshape(-1), np.arange(whole, samples)])


class Loader:
    """Loads arrays for a model, each only once.

    Args:
        model: Whose inputs say which types are wanted.
        compiled: Whose loss says what the targets must be.
        arrays: Gives the stored arrays.
        device: Where the tensors go.
    """

    def __init__(self, model: Sequential, compiled: Compile | None, arrays: Arrays, device: torch.device) -> None:
        self.model, self.compiled, self.arrays, self.device = model, compiled, arrays, device

    def feed(self, fed: Fed, fit: Fit | Train | None = None) -> tuple[Feed, Feed | None]:
        """Load what was matched; the second result is what a split holds out.

        Raises:
            BadData: An input, a label or a weight cannot be used.
        """
        x = [
            self._column(source.load(self.arrays), wanted)
            for source, wanted in zip(fed.x, self.model.inputs(), strict=True)
        ]
        targets = None if fed.y is None else fed.y.load(self.arrays)
        weights = None if fed.sample_weight is None else fed.sample_weight.load(self.arrays)
        if fit is not None and fit.class_weight is not None and weights is None and targets is not None:
            with within("fit") if isinstance(fit, Fit) else nullcontext():
                weights = class_weights(targets, dict(fit.class_weight))
        y = None if targets is None else self._targets(targets)
        w = None if weights is None else Column(weights, torch.float32, self.device)
        kept = range(fed.samples)
        held_out = range(fed.samples, fed.samples + fed.held_out)
        return Feed(x, y, w, kept), Feed(x, y, w, held_out) if fed.held_out else None

    def sample(self, fed: Fed, rows: int) -> tuple[Tensor, ...]:
        """Load the inputs of the first rows alone."""
        pairs = zip(fed.x, self.model.inputs(), strict=True)
        return tuple(
            self._column(source.load(self.arrays)[:rows], wanted).take(slice(0, rows)) for source, wanted in pairs
        )

    def _column(self, array: Array, wanted: Input) -> Column:
        rows = array.reshape(as_rows(array.shape))
        if wanted.layer is not None:
            wanted.layer.check_values(rows)
        return Column(rows, dtype_of(wanted), self.device)

    def _targets(self, array: Array) -> Column:
        if self.compiled and self.compiled.loss == "sparse_categorical_crossentropy":
            _check_labels(array, self.model.placed[-1].output_shape[-1])
        return Column(array.reshape(as_rows(array.shape)), torch.float32, self.device)


def dtype_of(wanted: Input) -> torch.dtype:
    """Return the type in which an input is computed with."""
    indices = wanted.layer is not None and wanted.layer.natural_dtype == "int32"  # others compute with numbers
    return torch.int64 if indices and wanted.dtype in ("int32", "int64", "uint8") else torch.float32


def made_up(wanted: Input, rows: int) -> Tensor:
    """Make inputs that any model of such an input takes, where no data is at hand: the same ones each time."""
    shape = (rows, *(each or MADE_UP_LENGTH for each in wanted.shape[1:]))
    if dtype_of(wanted) == torch.int64:
        return torch.zeros(shape, dtype=torch.int64)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def class_weights(targets: Array, weights: dict[int, float]) -> Array:
    """Give each sample the weight of its class.

    Raises:
        BadData: A class has no weight.
    """
    rows = targets.reshape(as_rows(targets.shape))
    classes = rows.argmax(1) if rows.shape[1] > 1 else rows.reshape(-1)
    for each in np.unique(classes):
        if each not in weights:
            raise BadData(
                f"There are samples of class {each:g}, which `class_weight` does not name; it names {sorted(weights)}.",
                "/class_weight",
            )
    return np.array([weights[int(each)] for each in classes], dtype=np.float32)


def _check_labels(labels: Array, classes: int | None) -> None:
    flat = labels.reshape(-1)
    bad = (flat < 0) | (flat >= (classes or np.inf)) | (flat != np.floor(flat))
    if bad.any():
        row = int(np.argmax(bad))
        raise BadData(f"Label {flat[row]} at position {row} is not a whole number from 0 to {(classes or 0) - 1}.")
