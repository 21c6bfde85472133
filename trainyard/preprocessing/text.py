"""Texts made into words, and words into numbers, as Keras 1 does it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadArgument
from engine.preprocessing import Counting, count, rarity

__all__ = ["Tokenizer", "base_filter", "one_hot", "text_to_word_sequence"]

#: What parts words: all of ASCII's punctuation but the apostrophe, tabs, and the ends of lines.
_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def base_filter() -> str:
    """Return the characters that are left out unless others are given."""
    return _FILTERS


def text_to_word_sequence(text: str, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """Part a text into its words.

    Args:
        text: The text.
        filters: Characters that part words, beside `split`.
        lower: Whether capitals become small letters.
        split: What stands between words.
    """
    text = text.lower() if lower else text
    return [word for word in text.translate(dict.fromkeys(map(ord, filters), split)).split(split) if word]


def one_hot(text: str, n: int, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[int]:
    """Give each word of a text a number from 1 to `n - 1` by Python's hash, so that some words share one.

    As in Keras 1 the numbers are others in every process, unless `PYTHONHASHSEED` is set; a `Tokenizer` keeps them.
    """
    return [abs(hash(word)) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)]


class Tokenizer:
    """Numbers the words of texts by how often they come, the most frequent first, from 1.

    Args:
        nb_words: Words of this number or above are left out; none when absent.
        filters: Characters that part words.
        lower: Whether capitals become small letters.
        split: What stands between words.
        char_level: Whether every character is a word.
    """

    def __init__(
        self,
        nb_words: int | None = None,
        filters: str = _FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
    ) -> None:
        self.nb_words, self.filters, self.lower, self.split = nb_words, filters, lower, split
        self.char_level = char_level
        #: How often each word has come, and in how many texts.
        self.word_counts: Counter[str] = Counter()
        self.word_docs: Counter[str] = Counter()
        self.word_index: dict[str, int] = {}
        #: In how many sequences each number has come.
        self.index_docs: dict[int, int] = {}
        self.document_count = 0

    def fit_on_texts(self, texts: Iterable[str]) -> None:
        """Learn the words of texts; those learnt before still count."""
        self.document_count = 0
        for text in texts:
            words = self._words(text)
            self.document_count += 1
            self.word_counts.update(words)
            self.word_docs.update(set(words))
        self.word_index = {word: number for number, (word, _) in enumerate(self.word_counts.most_common(), 1)}
        self.index_docs = {self.word_index[word]: documents for word, documents in self.word_docs.items()}

    def fit_on_sequences(self, sequences: Sequence[Sequence[int]]) -> None:
        """Learn how rare numbers are, for the mode "tfidf", where texts were made into numbers elsewhere."""
        self.document_count = len(sequences)
        self.index_docs = dict(Counter(number for sequence in sequences for number in set(sequence)))

    def texts_to_sequences(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the numbers of the words that are known, text by text."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Yield the numbers of the words that are known, text by text."""
        for text in texts:
            numbers = (self.word_index.get(word) for word in self._words(text))
            yield [each for each in numbers if each is not None and not (self.nb_words and each >= self.nb_words)]

    def texts_to_matrix(self, texts: Iterable[str], mode: str = "binary") -> NDArray[Any]:
        """Count the words of texts into a matrix, `(n, nb_words)`; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> NDArray[Any]:
        """Count numbers into a matrix, `(n, nb_words)`.

        Args:
            sequences: The numbers.
            mode: A one for each word that is there ("binary"), how often it is there ("count"), the same as a share of
                the sequence ("freq"), or weighted by how rare the word is ("tfidf").

        Raises:
            ValueError: There is no such mode, or nothing was learnt that it needs.
        """
        width = self._width()
        try:
            how = Counting(width, mode)
        except BadArgument as error:
            raise ValueError(error.message) from None
        numbers = np.asarray([number for sequence in sequences for number in sequence], dtype=np.int64)
        offsets = np.cumsum([0, *map(len, sequences)])
        return count(numbers, offsets, how, self._rarity(width) if mode == "tfidf" else None, "float64")

    def _words(self, text: str) -> Sequence[str]:
        return text if self.char_level else text_to_word_sequence(text, self.filters, self.lower, self.split)

    def _width(self) -> int:
        if not self.nb_words and not self.word_index:
            raise ValueError("How wide the matrix is must be told: give `nb_words`, or call `fit_on_texts` first.")
        return self.nb_words or len(self.word_index) + 1

    def _rarity(self, width: int) -> NDArray[Any]:
        if not self.document_count:
            raise ValueError('The mode "tfidf" goes by how rare words are: call `fit_on_texts` first.')
        found = np.zeros(width)
        for number, documents in self.index_docs.items():
            if 0 <= number < width:
                found[number] = documents
        return rarity(found, self.document_count)
