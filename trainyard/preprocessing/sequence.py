"""Sequences made equally long, by the code by which the service does it for a job, and words paired for word2vec."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadArgument
from engine.preprocessing import Padding, pad

__all__ = ["make_sampling_table", "pad_sequences", "skipgrams"]

#: Euler's constant, as exactly as Keras 1 has it.
_GAMMA = 0.577


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> NDArray[Any]:
    """Make sequences equally long, `(n, maxlen, ...)`.

    Args:
        sequences: Lists or arrays of steps; a step may be a number or an array.
        maxlen: The length of every row; the longest sequence's when absent.
        dtype: The type of the result: float32, float64, int32, int64 or uint8.
        padding: Whether the value comes before ("pre") or after ("post") a sequence that is shorter.
        truncating: Whether a longer sequence loses its beginning ("pre") or its end ("post").
        value: What rows are filled up with.

    Raises:
        ValueError: An argument is none of these, or the steps of two sequences have different shapes.
    """
    arrays = [np.asarray(each) for each in sequences]
    lengths = [len(each) for each in arrays]
    longest = int(maxlen or max(lengths, default=0))
    values = _joined([each for each in arrays if len(each)])
    if not longest:
        return np.empty((len(arrays), 0, *values.shape[1:]), np.dtype(dtype))
    try:
        how = Padding(longest, np.dtype(dtype).name, padding, truncating, float(value))
    except BadArgument as error:
        raise ValueError(error.message) from None
    return pad(values, np.cumsum([0, *lengths]), longest, how)


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Lay sequences one after the other."""
    if not arrays:
        return np.empty(0)
    steps = {each.shape[1:] for each in arrays}
    if len(steps) > 1:
        raise ValueError(f"The steps of all sequences must have one shape, but there are {sorted(steps)}.")
    return np.concatenate(arrays)


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> NDArray[Any]:
    """Tell how likely word2vec is to take a word by its rank: frequent words are passed over now and then.

    Args:
        size: How many ranks there are, counted from 0, which stands for no word.
        sampling_factor: The less it is, the more frequent words are passed over.
    """
    rank = np.maximum(np.arange(size), 1)
    rarity = sampling_factor * (rank * (np.log(rank) + _GAMMA) + 0.5 - 1.0 / (12.0 * rank))  # by Zipf's law
    table: NDArray[Any] = np.minimum(1.0, np.sqrt(rarity))
    return table


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Sequence[float] | NDArray[Any] | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pair each word with those around it (label 1), and with words by chance (label 0); numpy's generator draws.

    Args:
        sequence: The words' numbers; 0 is no word.
        vocabulary_size: The largest number, and one more.
        window_size: How far around a word is looked, on each side.
        negative_samples: How many pairs by chance there are for each of the others.
        shuffle: Whether the pairs are put into an order by chance.
        categorical: Whether labels are [0, 1] and [1, 0].
        sampling_table: How likely each word is to be taken; see `make_sampling_table`.
    """
    taken = [
        place
        for place, word in enumerate(sequence)
        if word and (sampling_table is None or sampling_table[word] >= np.random.random())
    ]
    pairs = [
        [int(sequence[place]), int(sequence[other])]
        for place in taken
        for other in range(max(0, place - window_size), min(len(sequence), place + window_size + 1))
        if other != place and sequence[other]
    ]
    labels = [1] * len(pairs)
    count = int(len(pairs) * negative_samples)
    words = np.random.permutation([word for word, _ in pairs])
    pairs += [[int(words[each % len(words)]), int(np.random.randint(1, vocabulary_size))] for each in range(count)]
    labels += [0] * count
    if shuffle:
        order = np.random.permutation(len(pairs))
        pairs, labels = [pairs[each] for each in order], [labels[each] for each in order]
    return pairs, [[1 - each, each] for each in labels] if categorical else labels
