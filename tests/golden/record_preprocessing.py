"""Record what Keras 1.2.2 itself makes of sequences and images: `python record_preprocessing.py KERAS [FOLDER]`.

KERAS is the unpacked source of Keras 1.2.2 from PyPI (`pip download keras==1.2.2 --no-deps --no-binary :all:`). Its
preprocessing needs numpy, scipy and six, and of the rest of Keras two settings only, so it runs without a backend.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np
import scipy.ndimage

SEQUENCES = [[3, 1, 4], [], [1, 5, 9, 2, 6, 5], [3], [5, 8, 9, 7, 9]]
WORDS = [3, 0, 1, 4, 1, 5, 9, 0, 0, 2]
OTHERS = [[1, 2], [2, 3, 5], [5]]
PADDINGS = [
    {},
    {"maxlen": 4},
    {"maxlen": 4, "padding": "post"},
    {"maxlen": 4, "truncating": "post"},
    {"maxlen": 1, "padding": "post", "truncating": "post"},
    {"maxlen": 8, "value": 7},
    {"maxlen": 4, "value": -0.5, "dtype": "float32"},
    {"maxlen": 5, "value": 2.7, "dtype": "int64"},
]
COUNTINGS = [
    ({"nb_words": words, "mode": mode}, fit_on)
    for words in (10, 6)
    for mode in ("binary", "count", "freq", "tfidf")
    for fit_on in ((None, OTHERS) if mode == "tfidf" else (None,))
]
TEXTS = [
    "The cat, the dog and the cat's bird!",
    "Don't: the\tDOG sat\non (the) mat...",
    "",
    "naïve café — the end/finish & 3.14",
]
TOKENIZERS = [
    {},
    {"nb_words": 4},
    {"lower": False},
    {"filters": ",!"},
    {"split": "_"},
    {"char_level": True},
    {"char_level": True, "nb_words": 6},
]
MOVES = [
    {"rotation_range": 40.0},
    {"width_shift_range": 0.3, "height_shift_range": 0.2},
    {"shear_range": 0.5},
    {"zoom_range": 0.4},
    {"zoom_range": [0.4, 0.7]},
    {
        "rotation_range": 180.0,
        "width_shift_range": 0.4,
        "height_shift_range": 0.4,
        "shear_range": 0.3,
        "zoom_range": 0.5,
    },
    {"horizontal_flip": True, "vertical_flip": True},
    {"channel_shift_range": 0.4},
    {"rotation_range": 30.0, "channel_shift_range": 0.2, "horizontal_flip": True},
]
STANDARDS = [
    {"rescale": 0.5},
    {"samplewise_center": True},
    {"samplewise_center": True, "samplewise_std_normalization": True},
    {"featurewise_center": True},
    {"featurewise_center": True, "featurewise_std_normalization": True},
    {"featurewise_std_normalization": True},
    {"rescale": 0.5, "featurewise_center": True, "samplewise_center": True},
    {"zca_whitening": True},
    {"featurewise_center": True, "featurewise_std_normalization": True, "zca_whitening": True},
]


def keras(folder):
    """Load the preprocessing modules, without the package that asks for a backend."""
    scipy.ndimage.interpolation = scipy.ndimage  # its name then
    backend = types.ModuleType("keras.backend")
    backend.floatx, backend.epsilon = (lambda: "float32"), (lambda: 1e-7)
    backend.image_dim_ordering = lambda: "th"
    for name, path in (("keras", folder / "keras"), ("keras.preprocessing", folder / "keras/preprocessing")):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    sys.modules["keras.backend"] = sys.modules["keras"].backend = backend
    from keras.preprocessing import image, sequence, text

    return image, sequence, text


def record_sequences(sequence, text):
    padded = []
    for arguments in PADDINGS:
        result = sequence.pad_sequences(SEQUENCES, **arguments)
        padded.append({"arguments": arguments, "dtype": result.dtype.name, "result": result.tolist()})
    counted = []
    for arguments, fit_on in COUNTINGS:
        tokenizer = text.Tokenizer(nb_words=arguments["nb_words"])
        tokenizer.fit_on_sequences(fit_on or SEQUENCES)
        result = tokenizer.sequences_to_matrix(SEQUENCES, mode=arguments["mode"])
        counted.append({"arguments": arguments, "fit_on": fit_on, "result": result.tolist()})
    table = sequence.make_sampling_table(200).tolist()
    pairs, _ = sequence.skipgrams(WORDS, 10, window_size=2, negative_samples=0, shuffle=False)
    return {"pad_sequences": padded, "sequences_to_matrix": counted, "sampling_table": table, "skipgrams": pairs}


def record_texts(text):
    words = [
        {"arguments": each, "result": [text.text_to_word_sequence(one, **each) for one in TEXTS]}
        for each in TOKENIZERS
        if not {"nb_words", "char_level"} & set(each)
    ]
    tokenizers = []
    for arguments in TOKENIZERS:
        tokenizer = text.Tokenizer(**arguments)
        tokenizer.fit_on_texts(TEXTS)
        modes = ("binary", "count", "freq", "tfidf")
        tokenizers.append(
            {
                "arguments": arguments,
                "word_index": tokenizer.word_index,
                "index_docs": dict(sorted(tokenizer.index_docs.items())),
                "sequences": tokenizer.texts_to_sequences(TEXTS[::-1]),
                "matrices": {mode: tokenizer.texts_to_matrix(TEXTS[::-1], mode).tolist() for mode in modes},
            }
        )
    return {"texts": TEXTS, "words": words, "tokenizers": tokenizers}


def record_moves(image):
    """Record images before and after, with every number that was drawn on the way."""
    rng = np.random.RandomState(5)
    cases, arrays = [], {}
    uniform, chance = np.random.uniform, np.random.random
    for mode in ("nearest", "constant", "reflect", "wrap"):
        for arguments in MOVES:
            arguments = arguments | {"fill_mode": mode, "cval": 0.25, "dim_ordering": "th"}
            before = rng.rand(6, 3, 9, 12).astype("float32")
            drawn, after = [], []
            np.random.uniform = lambda *a, d=drawn: d[-1].append(np.array(uniform(*a))) or d[-1][-1]
            np.random.random = lambda d=drawn: d[-1].append(np.array(chance())) or d[-1][-1]
            for each in before:
                drawn.append([])
                after.append(image.ImageDataGenerator(**arguments).random_transform(each))
            key = f"moves_{len(cases)}"
            flat = [[float(number) for each in one for number in np.ravel(each)] for one in drawn]
            cases.append({"arguments": arguments, "drawn": flat, "key": key})
            arrays |= {f"{key}_before": before, f"{key}_after": np.stack(after).astype("float32")}
    np.random.uniform, np.random.random = uniform, chance
    return cases, arrays


def record_standards(image):
    rng = np.random.RandomState(6)
    cases, arrays = [], {}
    for ordering, shape in (("th", (60, 3, 4, 3)), ("tf", (60, 4, 3, 3))):
        for arguments in STANDARDS:
            arguments = arguments | {"dim_ordering": ordering}
            before = (rng.rand(*shape) * 4 + 1).astype("float32")
            generator = image.ImageDataGenerator(**arguments)
            generator.fit(before)
            key = f"standards_{len(cases)}"
            cases.append({"arguments": arguments, "key": key})
            after = np.stack([generator.standardize(each.copy()) for each in before])
            arrays |= {f"{key}_before": before, f"{key}_after": after.astype("float32")}
    return cases, arrays


def main(source, folder):
    image, sequence, text = keras(source)
    (folder / "preprocessing.json").write_text(json.dumps(record_sequences(sequence, text)) + "\n")
    (folder / "texts.json").write_text(json.dumps(record_texts(text)) + "\n")
    np.random.seed(4)
    moves, moved = record_moves(image)
    standards, standardized = record_standards(image)
    (folder / "images.json").write_text(json.dumps({"moves": moves, "standards": standards}) + "\n")
    np.savez_compressed(folder / "images.npz", **moved, **standardized)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
