"""Preprocessing as forms of a reference, held to what Keras 1.2.2 itself made of the same sequences."""

import json

import numpy as np
import pytest
import torch

from engine.errors import BadArgument, BadData, BadReference, EngineError, TooLarge
from engine.limits import Limits
from engine.references import read_source
from engine.sources import Arrays
from engine.training.data import Column
from tests.engine.yard import GOLDEN, Notebook, describing, plan_of, sequential, training

SEQUENCES = [[3, 1, 4], [], [1, 5, 9, 2, 6, 5], [3], [5, 8, 9, 7, 9]]
OFFSETS = np.cumsum([0, *map(len, SEQUENCES)])
RECORDED = json.loads((GOLDEN / "preprocessing.json").read_text())
DATA = {
    "words": np.concatenate(SEQUENCES).astype(np.int64),
    "offsets": OFFSETS,
    "backwards": OFFSETS[::-1].copy(),
    "far": OFFSETS + 1,
    "real": np.ones(5, dtype=np.float32),
    "matrix": np.arange(12).reshape(3, 4),
    "negative": -np.arange(12).reshape(3, 4),
    "images": np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3),
}
RAGGED = {"sequences": "d/words", "offsets": "d/offsets"}
LIMITS = Limits()


def arrays() -> Arrays:
    return lambda _, array: DATA[array]


def loaded(reference):
    """Read a reference and load it; it reads back to itself, and is what it said it would be."""
    source = read_source(reference, LIMITS)
    array = source.load(arrays())
    spec = source.spec(describing(DATA))
    assert (array.shape, array.dtype.name) == (spec.shape, spec.dtype)
    assert read_source(json.loads(json.dumps(source.to_json())), LIMITS) == source
    return array


@pytest.mark.parametrize("case", RECORDED["pad_sequences"], ids=lambda case: json.dumps(case["arguments"]))
@pytest.mark.parametrize("sequences", [RAGGED, SEQUENCES], ids=["uploaded", "written out"])
def test_sequences_are_padded_as_by_keras_1(case, sequences):
    maxlen = {} if "maxlen" in case["arguments"] or sequences is SEQUENCES else {"maxlen": 6}

    made = loaded({"pad_sequences": sequences} | maxlen | case["arguments"])

    assert made.tolist() == case["result"]
    assert made.dtype.name == case["dtype"]


@pytest.mark.parametrize("case", RECORDED["sequences_to_matrix"], ids=lambda case: json.dumps(case["arguments"]))
def test_words_are_counted_as_by_keras_1(case):
    fit_on = {"fit_on": case["fit_on"]} if case["fit_on"] else {}

    made = loaded({"sequences_to_matrix": RAGGED} | fit_on | case["arguments"])

    np.testing.assert_allclose(made, np.array(case["result"]), rtol=1e-6)


def test_rows_of_a_matrix_are_sequences_too():
    assert loaded({"pad_sequences": "d/matrix", "maxlen": 2}).tolist() == [[2, 3], [6, 7], [10, 11]]
    assert loaded({"pad_sequences": "d/matrix"}).tolist() == DATA["matrix"].tolist()
    assert loaded({"sequences_to_matrix": "d/matrix", "nb_words": 4}).sum() == 4


def test_sequences_of_vectors_are_padded_with_whole_vectors():
    steps = [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]

    made = loaded({"pad_sequences": steps, "dtype": "float32", "value": -1.0})

    assert made.tolist() == [[[-1, -1], [1, 2]], [[3, 4], [5, 6]]]


def test_many_sequences_are_made_block_by_block_to_the_same_result(monkeypatch):
    whole = [loaded({"pad_sequences": RAGGED, "maxlen": 4}), loaded({"sequences_to_matrix": RAGGED, "nb_words": 8})]
    monkeypatch.setattr("engine.preprocessing.BLOCK_BYTES", 1)
    monkeypatch.setattr("engine.preprocessing.MAPPED_BYTES", 1)

    parts = [loaded({"pad_sequences": RAGGED, "maxlen": 4}), loaded({"sequences_to_matrix": RAGGED, "nb_words": 8})]

    assert all(isinstance(part, np.memmap) for part in parts), "large results are mapped, not held"
    assert [part.tolist() for part in parts] == [each.tolist() for each in whole]


def test_an_array_is_converted_divided_multiplied_shifted_and_given_a_shape():
    images = DATA["images"].astype(np.float32)

    assert np.array_equal(loaded({"array": "d/images", "divide": 255, "shape": [12]}), (images / 255).reshape(2, 12))
    assert np.array_equal(loaded({"array": "d/images", "scale": 2.0, "shift": -1.0}), images * 2 - 1)
    assert loaded({"array": "d/images", "dtype": "int32", "shape": [4, 3, 1]}).shape == (2, 4, 3, 1)
    assert DATA["images"].max() == 23, "what was uploaded stays as it is"


def test_sequences_of_classes_are_made_one_hot_step_by_step():
    steps = loaded({"to_categorical": [[2, 0], [1, 1]], "nb_classes": 3})

    assert steps.tolist() == [[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]]
    assert loaded({"to_categorical": [[2], [0]], "nb_classes": 3}).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(BadData, match="Label 9 in row 2"):
        loaded({"to_categorical": "d/matrix", "nb_classes": 9})


def test_forms_compose_by_nesting():
    made = loaded({"array": {"pad_sequences": RAGGED, "maxlen": 4}, "divide": 10, "shape": [4, 1]})
    labels = loaded({"to_categorical": {"pad_sequences": [[2], [0, 1]], "maxlen": 1}, "nb_classes": 3})

    assert made[2].reshape(-1).tolist() == pytest.approx([0.9, 0.2, 0.6, 0.5])
    assert labels.tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("where", "says", "reference"),
    [
        ("", "`maxlen` must be given", {"pad_sequences": RAGGED}),
        ("", "`maxlen` must be given", {"pad_sequences": {"sequences": [1, 2], "offsets": [2, 0]}}),
        ("/maxlen", "1 or more", {"pad_sequences": RAGGED, "maxlen": 0}),
        ("/padding", "'pre', 'post'", {"pad_sequences": RAGGED, "maxlen": 3, "padding": "front"}),
        ("/dtype", "float32", {"pad_sequences": RAGGED, "maxlen": 3, "dtype": "object"}),
        ("/max_len", "maxlen", {"pad_sequences": RAGGED, "max_len": 3}),
        ("/pad_sequences", "offsets", {"pad_sequences": "d/words", "maxlen": 3}),
        ("/pad_sequences/offsets", "n \\+ 1", {"pad_sequences": RAGGED | {"offsets": "d/real"}, "maxlen": 3}),
        ("/pad_sequences/offsets", "no array", {"pad_sequences": RAGGED | {"offsets": "d/no"}, "maxlen": 3}),
        ("/pad_sequences/offsets", "must be", {"pad_sequences": {"sequences": "d/words"}, "maxlen": 3}),
        ("/pad_sequences/starts", "offsets", {"pad_sequences": RAGGED | {"starts": 1}, "maxlen": 3}),
        ("/pad_sequences", "numbers only", {"pad_sequences": [["a"], ["b"]], "maxlen": 3}),
        ("/pad_sequences", "numbers only", {"pad_sequences": [[], []], "maxlen": 3}),
        ("/nb_words", "needs `nb_words`", {"sequences_to_matrix": RAGGED}),
        ("/mode", "tfidf", {"sequences_to_matrix": RAGGED, "nb_words": 9, "mode": "often"}),
        ("/fit_on", "tfidf", {"sequences_to_matrix": RAGGED, "nb_words": 9, "fit_on": RAGGED}),
        ("/sequences_to_matrix", "integers", {"sequences_to_matrix": [[0.5], [1.5]], "nb_words": 9}),
        ("/sequences_to_matrix", "integers", {"sequences_to_matrix": "d/images", "nb_words": 9}),
        ("/divide", "not be 0", {"array": "d/images", "divide": 0}),
        ("/dtype", "whole numbers", {"array": "d/images", "dtype": "int32", "scale": 0.5}),
        ("/shape", "holds 12 values", {"array": "d/images", "shape": [13]}),
        ("/shape", "of a sample", {"array": "d/images", "shape": [None, 3]}),
        ("/array", "no array", {"array": "d/no"}),
        ("/array/pad_sequences", "offsets", {"array": {"pad_sequences": "d/words", "maxlen": 3}}),
    ],
)
def test_a_bad_form_is_refused_and_pointed_at(where, says, reference):
    with pytest.raises(EngineError, match=says) as refusal:
        read_source(reference, LIMITS).spec(describing(DATA))
    assert refusal.value.where == where
    assert isinstance(refusal.value, BadArgument | BadReference)


@pytest.mark.parametrize(
    ("says", "reference"),
    [
        ("go upwards", {"pad_sequences": RAGGED | {"offsets": "d/backwards"}, "maxlen": 3}),
        ("outside the 15 values", {"pad_sequences": RAGGED | {"offsets": "d/far"}, "maxlen": 3}),
        ("negative", {"sequences_to_matrix": "d/negative", "nb_words": 3}),
    ],
)
def test_bad_values_are_the_datas_fault(says, reference):
    with pytest.raises(BadData, match=says):
        read_source(reference, LIMITS).load(arrays())


@pytest.mark.parametrize("mapped", [False, True], ids=["in memory", "mapped"])
def test_what_is_made_is_trained_on_where_it_lies(monkeypatch, mapped):
    monkeypatch.setattr("engine.preprocessing.MAPPED_BYTES", 0 if mapped else 2**20)
    made = loaded({"array": "d/images"})

    column = Column(made, torch.float32, torch.device("cpu"))

    assert isinstance(made, np.memmap) == mapped
    assert column.tensor.data_ptr() == made.ctypes.data, "no second copy"
    assert torch.equal(column.take(np.array([1])), torch.from_numpy(DATA["images"][1:].astype(np.float32)))


def test_an_array_that_would_be_made_too_large_is_refused_before_it_is_made():
    x = {"sequences_to_matrix": RAGGED, "nb_words": 2_000_000_000}

    with pytest.raises(TooLarge, match="40,000,000,000") as refusal:
        plan_of(
            DATA,
            model=sequential(("Activation", {"activation": "relu", "input_shape": [2_000_000_000]})),
            predict={"x": x},
        )
    assert refusal.value.where == "/predict/x"


@pytest.mark.parametrize(
    "x",
    [
        {"sequences_to_matrix": {"pad_sequences": RAGGED, "maxlen": 2_000_000_000}, "nb_words": 2},
        {
            "sequences_to_matrix": "d/matrix",
            "nb_words": 2,
            "mode": "tfidf",
            "fit_on": {"pad_sequences": RAGGED, "maxlen": 2_000_000_000},
        },
        {"pad_sequences": {"array": {"pad_sequences": RAGGED, "maxlen": 2_000_000_000}}, "maxlen": 2},
    ],
)
def test_nor_may_it_be_made_too_large_on_the_way(x):
    with pytest.raises(TooLarge, match="40,000,000,000"):
        plan_of(DATA, model=sequential(("Dense", {"output_dim": 1, "input_dim": 2})), predict={"x": x})


def test_a_model_trains_on_padded_words_and_their_matrix_alike():
    labels = np.array([0, 1, 0, 1, 1], dtype=np.float32)
    body = {
        "compile": {"optimizer": "sgd", "loss": "binary_crossentropy"},
        "fit": {"x": {"pad_sequences": RAGGED, "maxlen": 4}, "y": "d/y", "nb_epoch": 2},
        "evaluate": {"x": {"pad_sequences": SEQUENCES, "maxlen": 4}, "y": "d/y"},
    }
    run = training(
        DATA | {"y": labels},
        model=sequential(
            ("Embedding", {"input_dim": 10, "output_dim": 3, "input_length": 4}),
            ("LSTM", {"output_dim": 2}),
            ("Dense", {"output_dim": 1, "activation": "sigmoid"}),
        ),
        **body,
    )

    run.fit(Notebook())

    assert run.evaluate(Notebook())["loss"] < run.history["series"]["loss"][0]
    assert run.plan.datasets == ["d"]
