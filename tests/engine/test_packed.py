"""Arrays as bytes: `{"base64": …, "dtype": …, "shape": …}` wherever a reference may stand."""

import base64

import numpy as np
import pytest

from engine.errors import BadReference, DefinitionError, TooLarge
from engine.limits import Limits
from engine.references import DTYPES, read_source
from engine.sources import ArraySpec, Packed
from tests.engine.yard import Notebook, plan_of, sequential, training

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_any_type_comes_back_as_it_was(dtype):
    array = (RNG.random((3, 4, 2)) * 100).astype(dtype)
    written = Packed.of(array).to_json()
    assert base64.b64decode(written["base64"]) == array.astype(array.dtype.newbyteorder("<")).tobytes()

    source = read_source(written, Limits())
    assert source.spec(None) == ArraySpec((3, 4, 2), dtype)
    assert source.to_json() == written
    loaded = source.load(None)
    assert loaded.dtype == array.dtype
    assert (loaded == array).all()


def test_an_array_that_lies_otherwise_in_memory_is_written_in_c_order():
    turned = np.asfortranarray(RNG.random((3, 5)).astype(">f4"))
    assert (read_source(Packed.of(turned).to_json(), Limits()).load(None) == turned).all()


GOOD = {"base64": "AAAAAAAAAAA=", "dtype": "float32", "shape": [2, 1]}
REFUSED = {
    "no type": ({"dtype": None}, "/dtype"),
    "a type that holds no numbers": ({"dtype": "object"}, "/dtype"),
    "a type of another order": ({"dtype": ">f4"}, "/dtype"),
    "a type that is a list": ({"dtype": [["a", "f4"]]}, "/dtype"),
    "an empty shape": ({"shape": []}, "/shape"),
    "an axis of 0": ({"shape": [0, 1]}, "/shape"),
    "an axis that is no integer": ({"shape": [2.0, 1]}, "/shape"),
    "an axis of -1": ({"shape": [-2, -1]}, "/shape"),
    "a shape that is no list": ({"shape": 2}, "/shape"),
    "a shape of other bytes": ({"shape": [3, 1]}, "/base64"),
    "a character that is not of the alphabet": ({"base64": "AAAAAAAAAA-="}, "/base64"),
    "a line break": ({"base64": "AAAA\nAAAAAAA="}, "/base64"),
    "a letter that is not ASCII": ({"base64": "AAAAAAAAAAä="}, "/base64"),
    "no padding": ({"base64": "AAAAAAAAAAA"}, "/base64"),
    "no text": ({"base64": 5}, "/base64"),
    "another key": ({"order": "F"}, "/order"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_bytes_that_are_none_are_refused_and_pointed_at(fault):
    change, where = REFUSED[fault]
    with pytest.raises(BadReference) as refusal:
        read_source(GOOD | change, Limits())
    assert refusal.value.where == where


@pytest.mark.parametrize("missing", ["dtype", "shape"])
def test_bytes_need_their_type_and_shape(missing):
    with pytest.raises(BadReference, match="is missing") as refusal:
        read_source({key: value for key, value in GOOD.items() if key != missing}, Limits())
    assert refusal.value.where == f"/{missing}"


def test_bytes_are_bounded_by_their_shape_before_they_are_read():
    with pytest.raises(TooLarge, match="Upload them as a dataset") as refusal:
        read_source(GOOD | {"shape": [2**30, 2**30]}, Limits())
    assert refusal.value.where == "/shape"


def test_a_fit_takes_bytes_as_it_takes_lists():
    model = sequential(("Dense", {"output_dim": 1, "input_dim": 3}))
    compiled = {"loss": "mse", "optimizer": "sgd"}
    x, y = RNG.random((8, 3), dtype=np.float32), RNG.random((8, 1), dtype=np.float32)

    def trained(write):
        run = training({}, model=model, compile=compiled, fit={"x": write(x), "y": write(y), "nb_epoch": 2})
        run.fit(Notebook())
        return run.weights_sha256()

    assert trained(lambda array: Packed.of(array).to_json()) == trained(lambda array: array.tolist())


def test_bytes_stand_for_labels_and_one_of_several_inputs_too():
    labels = Packed.of(np.array([0, 2])).to_json()
    model = sequential(("Dense", {"output_dim": 3, "input_dim": 2}))
    compiled = {"loss": "categorical_crossentropy", "optimizer": "sgd"}
    fit = {"x": [[0.0, 1.0]] * 2, "y": {"to_categorical": labels, "nb_classes": 3}}
    assert plan_of({}, model=model, compile=compiled, fit=fit).definition["fit"]["y"]["to_categorical"] == labels
    bad = {"to_categorical": labels | {"shape": [3]}, "nb_classes": 3}
    with pytest.raises(DefinitionError) as refusal:
        plan_of({}, model=model, compile=compiled, fit=fit | {"y": bad})
    assert refusal.value.where == "/fit/y/to_categorical/base64"
