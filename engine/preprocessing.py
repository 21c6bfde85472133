"""Keras 1's preprocessing as forms of a reference: sequences padded or counted, arrays converted and scaled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

import numpy as np

from engine.arguments import Description, InputShape, Json, PositiveInt, one_of
from engine.errors import BadArgument, BadData, BadReference, within
from engine.sources import Array, Arrays, ArraySpec, Describe, Inline, Source

#: A result larger than this is kept in a nameless file and mapped, so that memory holds only what is looked at.
MAPPED_BYTES = 256 * 2**20
#: So much is made at a time.
BLOCK_BYTES = 16 * 2**20

Dtype = Annotated[str, one_of("float32", "float64", "int32", "int64", "uint8")]


def made(shape: tuple[int, ...], dtype: str) -> Array:
    """Return room for a result: an array of its own, in memory or mapped."""
    if prod(shape) * np.dtype(dtype).itemsize <= MAPPED_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:  # the mapping outlives it
        return np.memmap(file, dtype, "w+", shape=shape)


def _blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))


# -- sequences of different lengths -------------------------------------------------------------


@dataclass(frozen=True)
class Sequences:
    """Sequences of different lengths: `{"sequences": all their values in one row, "offsets": where each begins}`.

    Args:
        values: All values, one sequence after the other; without offsets a matrix, whose rows are the sequences.
        offsets: `n + 1` places: sequence i goes from place i to before place i + 1.
    """

    values: Source
    offsets: Source | None = None

    def spec(self, describe: Describe) -> tuple[int, ArraySpec]:
        """Return how many sequences there are, and the shape of one with its type; an unknown length is 0.

        Raises:
            BadReference: They are not there, or are no sequences.
        """
        if self.offsets is None:
            rows = self.values.spec(describe)
            if len(rows.shape) < 2:
                raise BadReference(
                    f"Sequences lie in the rows of a matrix, but the shape is {list(rows.shape)}. For sequences of "
                    'different lengths write {"sequences": <all values>, "offsets": <where each begins, and the end>}.'
                )
            return rows.shape[0], ArraySpec(rows.shape[1:], rows.dtype)
        with within("sequences"):
            flat = self.values.spec(describe)
        with within("offsets"):
            places = self.offsets.spec(describe)
            if len(places.shape) != 1 or places.kind not in "iu" or places.shape[0] < 2:
                raise BadReference(
                    f"`offsets` must be integers of shape (n + 1,), but are {places.dtype} of shape "
                    f"{list(places.shape)}."
                )
        return places.shape[0] - 1, ArraySpec((self._longest(), *flat.shape[1:]), flat.dtype)

    def _longest(self) -> int:
        if not isinstance(self.offsets, Inline):
            return 0
        return max(0, int(np.diff(self.offsets.load(lambda *_: np.empty(0))).max()))

    def load(self, arrays: Arrays) -> tuple[Array, Array]:
        """Return all values in one row, and the `n + 1` offsets.

        Raises:
            BadData: The offsets do not go upwards within the values.
        """
        values = self.values.load(arrays)
        if self.offsets is None:
            rows, length = values.shape[:2]
            return values.reshape(rows * length, *values.shape[2:]), np.arange(rows + 1) * length
        offsets = np.asarray(self.offsets.load(arrays)).astype(np.int64)
        bad = (np.diff(offsets, prepend=0) < 0) | (offsets < 0) | (offsets > len(values))
        if bad.any():
            place = int(np.argmax(bad))
            raise BadData(
                f"Offset {offsets[place]} at place {place} is below the one before it, or outside the {len(values)} "
                "values. Offsets go upwards: sequence i is values[offsets[i]:offsets[i + 1]]."
            )
        return values, offsets

    def inner(self) -> Iterator[Source]:
        """List the sources they are made of."""
        yield self.values
        if self.offsets is not None:
            yield self.offsets

    def to_json(self) -> Json:
        """Return them as `read_sequences` takes them."""
        if self.offsets is None:
            return self.values.to_json()
        return {"sequences": self.values.to_json(), "offsets": self.offsets.to_json()}


@dataclass(frozen=True)
class Padding(Description):
    """The arguments of Keras 1's `pad_sequences`.

    Args:
        maxlen: The length of every row; by default the longest sequence's, where that is known beforehand.
        dtype: The type of the result.
        padding: Whether the value comes before ("pre") or after ("post") a sequence that is shorter.
        truncating: Whether a longer sequence loses its beginning ("pre") or its end ("post").
        value: What rows are filled up with.
    """

    maxlen: PositiveInt | None = None
    dtype: Dtype = "int32"
    padding: Annotated[str, one_of("pre", "post")] = "pre"
    truncating: Annotated[str, one_of("pre", "post")] = "pre"
    value: float = 0.0


@dataclass(frozen=True)
class Padded(Source):
    """Sequences made equally long: `{"pad_sequences": …, "maxlen": 80}`."""

    sequences: Sequences
    padding: Padding

    def spec(self, describe: Describe) -> ArraySpec:
        with within("pad_sequences"):
            count, one = self.sequences.spec(describe)
        length = self.padding.maxlen or one.shape[0]
        if not length:
            raise BadReference("`maxlen` must be given: how long the longest sequence is shows only in the data.")
        return ArraySpec((count, length, *one.shape[1:]), self.padding.dtype)

    def load(self, arrays: Arrays) -> Array:
        values, offsets = self.sequences.load(arrays)
        length = self.padding.maxlen or int(np.diff(offsets).max())
        return pad(values, offsets, length, self.padding)

    def inner(self) -> Iterator[Source]:
        return self.sequences.inner()

    def to_json(self) -> Json:
        return {"pad_sequences": self.sequences.to_json(), **self.padding.get_config()}


def pad(values: Array, offsets: Array, length: int, how: Padding) -> Array:
    """Make sequences equally long, `(n, length, ...)`."""
    out = made((len(offsets) - 1, length, *values.shape[1:]), how.dtype)
    for block in _blocks(len(out), out[:1].nbytes * 4):  # the numbers of places come to that
        first, lengths = offsets[:-1][block], np.diff(offsets)[block]
        kept = np.minimum(lengths, length)
        row = np.repeat(np.arange(len(kept)), kept)
        step = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        source = first + (lengths - kept if how.truncating == "pre" else 0)
        target = length - kept if how.padding == "pre" else np.zeros_like(kept)
        out[block] = np.array(how.value).astype(how.dtype)
        out[block][row, target[row] + step] = values[source[row] + step].astype(how.dtype)
    return out


@dataclass(frozen=True)
class Counting(Description):
    """The arguments of Keras 1's `Tokenizer.sequences_to_matrix`.

    Args:
        nb_words: The width of the matrix; words of this number or above are passed over.
        mode: A one for each word that is there ("binary"), how often it is there ("count"), the same as a share of the
            sequence ("freq"), or weighted by how rare the word is ("tfidf").
    """

    nb_words: PositiveInt
    mode: Annotated[str, one_of("binary", "count", "tfidf", "freq")] = "binary"


@dataclass(frozen=True)
class Counted(Source):
    """Word numbers counted into a matrix: `{"sequences_to_matrix": …, "nb_words": 1000, "mode": "binary"}`.

    Args:
        sequences: The word numbers.
        counting: How they are counted.
        fit_on: The sequences that tell "tfidf" how rare words are; by default those that are counted.
    """

    sequences: Sequences
    counting: Counting
    fit_on: Sequences | None = None

    def spec(self, describe: Describe) -> ArraySpec:
        with within("sequences_to_matrix"):
            count = _words(self.sequences, describe)
        if self.fit_on is not None:
            with within("fit_on"):
                _words(self.fit_on, describe)
        return ArraySpec((count, self.counting.nb_words), "float32")

    def load(self, arrays: Arrays) -> Array:
        words, offsets = self.sequences.load(arrays)
        rarity = None
        if self.counting.mode == "tfidf":
            fitted = (words, offsets) if self.fit_on is None else self.fit_on.load(arrays)
            rarity = rarities(*fitted, self.counting.nb_words)
        return count(words, offsets, self.counting, rarity)

    def inner(self) -> Iterator[Source]:
        yield from self.sequences.inner()
        if self.fit_on is not None:
            yield from self.fit_on.inner()

    def to_json(self) -> Json:
        fit_on = {} if self.fit_on is None else {"fit_on": self.fit_on.to_json()}
        return {"sequences_to_matrix": self.sequences.to_json(), **self.counting.get_config(), **fit_on}


def _words(sequences: Sequences, describe: Describe) -> int:
    count, one = sequences.spec(describe)
    if len(one.shape) != 1 or one.kind not in "iu":
        raise BadReference(f"Word numbers must be integers, one a step, but a step is {one.dtype} {one.shape[1:]}.")
    return count


def count(words: Array, offsets: Array, how: Counting, rarity: Array | None = None, dtype: str = "float32") -> Array:
    """Count word numbers into a matrix `(n, nb_words)`.

    Raises:
        BadData: A word's number is negative.
    """
    out = made((len(offsets) - 1, how.nb_words), dtype)
    for block in _blocks(len(out), how.nb_words * 8):
        counts, lengths = _counts(words, offsets, block, how.nb_words)
        out[block] = _weighed(counts, lengths, how.mode, rarity)
    return out


def _weighed(counts: Array, lengths: Array, mode: str, rarity: Array | None) -> Array:
    if mode == "binary":
        return np.minimum(counts, 1)
    if mode == "freq":
        return counts / np.maximum(lengths, 1)[:, None]
    if mode == "tfidf" and rarity is not None:
        return np.where(counts > 0, 1.0 + np.log(np.maximum(counts, 1)), 0.0) * rarity
    return counts


def rarities(words: Array, offsets: Array, nb_words: int) -> Array:
    """Tell how rare each word is in sequences."""
    found = np.zeros(nb_words)
    for block in _blocks(len(offsets) - 1, nb_words * 8):
        found += (_counts(words, offsets, block, nb_words)[0] > 0).sum(0)
    return rarity(found, len(offsets) - 1)


def rarity(found: Array, sequences: int) -> Array:
    """Tell how rare words are, of the number of sequences that each was found in, and of how many there are."""
    rare: Array = np.log(1.0 + sequences / (1.0 + found))
    return rare


def _counts(words: Array, offsets: Array, block: slice, nb_words: int) -> tuple[Array, Array]:
    lengths = np.diff(offsets)[block]
    here = np.asarray(words[offsets[block.start] : offsets[block.stop]]).astype(np.int64)
    if here.size and here.min() < 0:
        raise BadData(f"Word number {here.min()} is negative; words are counted from 0.")
    places = np.repeat(np.arange(len(lengths)), lengths) * nb_words + here
    counted = np.bincount(places[here < nb_words], minlength=len(lengths) * nb_words)
    return counted.reshape(len(lengths), nb_words), lengths


# -- arrays converted and scaled ----------------------------------------------------------------


@dataclass(frozen=True)
class Scaling(Description):
    """How an array is converted: to a type, then divided, multiplied and shifted, then given another shape.

    Args:
        dtype: The type to compute in.
        divide: Every value is divided by this, as in `x / 255`.
        scale: Every value is multiplied by this.
        shift: This is added to every value.
        shape: The shape of a sample, such as [784] for images of 28 by 28.
    """

    dtype: Dtype = "float32"
    divide: float = 1.0
    scale: float = 1.0
    shift: float = 0.0
    shape: InputShape | None = None

    def check(self) -> None:
        """Refuse to divide by zero, to scale whole numbers, and axes of no length."""
        if self.divide == 0.0:
            raise BadArgument("`divide` must not be 0.", "/divide")
        if self.dtype[0] != "f" and (self.divide, self.scale, self.shift) != (1.0, 1.0, 0.0):
            raise BadArgument(f"`dtype` {self.dtype} holds whole numbers; to scale, use float32.", "/dtype")
        if self.shape is not None and None in self.shape:
            raise BadArgument("`shape` must be that of a sample, such as [28, 28, 1].", "/shape")


@dataclass(frozen=True)
class Scaled(Source):
    """An array converted and scaled: `{"array": …, "dtype": "float32", "divide": 255}`."""

    array: Source
    scaling: Scaling

    def spec(self, describe: Describe) -> ArraySpec:
        with within("array"):
            spec = self.array.spec(describe)
        wanted: Any = self.scaling.shape
        if wanted is not None and prod(wanted) != prod(spec.shape[1:]):
            raise BadReference(
                f"A sample of shape {list(spec.shape[1:])} holds {prod(spec.shape[1:])} values and cannot take the "
                f"shape {list(wanted)}, which holds {prod(wanted)}.",
                "/shape",
            )
        return ArraySpec((spec.shape[0], *(spec.shape[1:] if wanted is None else wanted)), self.scaling.dtype)

    def load(self, arrays: Arrays) -> Array:
        array, how = self.array.load(arrays), self.scaling
        out = made(array.shape, how.dtype)
        for block in _blocks(len(out), out[:1].nbytes):
            out[block] = array[block]
            for operate, number, idle in (
                (np.divide, how.divide, 1.0),
                (np.multiply, how.scale, 1.0),
                (np.add, how.shift, 0.0),
            ):
                if number != idle:
                    operate(out[block], number, out=out[block])
        shape: Any = how.shape
        return out if shape is None else out.reshape(len(out), *shape)

    def inner(self) -> Iterator[Source]:
        yield self.array

    def to_json(self) -> Json:
        return {"array": self.array.to_json(), **self.scaling.get_config()}
