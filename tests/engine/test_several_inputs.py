"""Models with several inputs: how their arrays are given, and what does not fit them."""

import numpy as np
import pytest

from engine.errors import BadReference, DefinitionError, ShapeMismatch
from tests.engine.yard import Notebook, plan_of, sequential, training

A, B = np.random.default_rng(9).normal(size=(2, 6, 3)).astype("f4")
DATA = {"a": A, "b": B, "y": np.ones((6, 2), dtype="f4"), "short": B[:4], "wide": np.ones((6, 5), dtype="f4")}
INLINE = [A.tolist(), B.tolist()]


def branch(name):
    return sequential(("Dense", {"output_dim": 2, "input_dim": 3, "name": name}))


def fit_of(x, **fit):
    return {
        "model": sequential(("Merge", {"layers": [branch("a"), branch("b")]})),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "fit": {"x": x, "y": "d/y", "nb_epoch": 1, "shuffle": False, **fit},
    }


@pytest.mark.parametrize(
    "x",
    [
        ["d/a", "d/b"],
        {"b_input": "d/b", "a_input": "d/a"},
        INLINE,
        ["d/a", B.tolist()],
        {"a_input": INLINE[0], "b_input": "d/b"},
    ],
)
@pytest.mark.parametrize(
    "validation",
    [None, [["d/a", "d/b"], "d/y"], {"x": INLINE, "y": "d/y"}, [{"a_input": "d/a", "b_input": "d/b"}, "d/y"]],
)
def test_s28_arrays_are_given_in_the_order_of_branches_or_by_name(x, validation):
    run = training(DATA, **fit_of(x, validation_data=validation))
    run.fit(Notebook())
    same = training(DATA, **fit_of(["d/a", "d/b"]))
    same.fit(Notebook())
    assert run.weights_sha256() == same.weights_sha256()
    assert list(run.history["series"]) == (["loss", "val_loss"] if validation else ["loss"])


@pytest.mark.parametrize(
    ("x", "error", "says", "where"),
    [
        ("d/a", BadReference, r"2 inputs, \['a_input', 'b_input'\], but `x` is one array", ""),
        (["d/a"], BadReference, "lists 1 arrays", ""),
        (["d/a", "d/b", "d/b"], BadReference, "lists 3 arrays", ""),
        (A.tolist(), BadReference, "lists 6 arrays", ""),
        ({"a_input": "d/a"}, BadReference, r"names \['a_input'\], but", ""),
        ({"a_input": "d/a", "c_input": "d/b"}, BadReference, r"inputs are \['a_input', 'b_input'\]", ""),
        ({"dataset": "d", "columns": ["a"]}, BadReference, "one array", ""),
        (["d/a", "d/short"], BadReference, "4 and the first of x has 6", "/1"),
        (["d/a", "d/wide"], ShapeMismatch, r"b_input to have the shape \(None, 3\).*\(6, 5\)", "/1"),
        ({"a_input": "d/wide", "b_input": "d/b"}, ShapeMismatch, "a_input", "/a_input"),
        (["d/a", "d/none"], BadReference, "no array 'none'", "/1"),
        (["d/a", 3], BadReference, "Data must be", "/1"),
        ([], BadReference, "lists 0 arrays", ""),
    ],
)
def test_s28_arrays_that_do_not_fit_the_inputs_are_refused_and_pointed_at(x, error, says, where):
    for body, place in (
        (fit_of(x), "/fit/x"),
        (fit_of(["d/a", "d/b"], validation_data=[x, "d/y"]), "/fit/validation_data/x"),
    ):
        with pytest.raises(error, match=says) as refusal:
            plan_of(DATA, **body)
        assert isinstance(refusal.value, DefinitionError)
        assert refusal.value.where == place + where
