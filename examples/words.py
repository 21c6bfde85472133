"""Words as Keras 1 tells and numbers them."""

from collections import Counter
from collections.abc import Iterable

#: What Keras 1's `text_to_word_sequence` takes for gaps: punctuation but for the apostrophe, tabs and new lines.
GAPS = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))
#: The numbers that `imdb.load_data` and `reuters.load_data` give to the start, to unknown words, and to the first word.
START, UNKNOWN, FIRST = 1, 2, 4


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words."""
    return text.lower().translate(GAPS).split()


def vocabulary(texts: Iterable[list[str]], nb_words: int) -> dict[str, int]:
    """Number words by how often they come; those that come too seldom are left out."""
    counted = Counter(word for text in texts for word in text)
    return {word: FIRST + rank for rank, (word, _) in enumerate(counted.most_common(nb_words - FIRST))}


def numbered(text: list[str], known: dict[str, int]) -> list[int]:
    """Write a text as numbers, after the number of the start."""
    return [START, *(known.get(word, UNKNOWN) for word in text)]
