"""What the real Keras 1.2.2 refused and what it took, recorded one by one: we refuse and take the same."""

import json
from typing import Any

import numpy as np
import pytest

from engine.errors import (
    BadArgument,
    BadFile,
    BadModel,
    BadReference,
    DefinitionError,
    ShapeMismatch,
    UnknownName,
)
from tests.engine.yard import GOLDEN, Notebook, plan_of, sequential, training

RECORDED = {what: kind for what, kind, _ in json.loads((GOLDEN / "api_errors/history.json").read_text())["errors"]}
DATA = {
    "x": np.zeros((50, 5), dtype=np.float32),
    "x3": np.zeros((50, 3), dtype=np.float32),
    "y": np.eye(3, dtype=np.float32)[np.arange(50) % 3],
    "y2": np.zeros((50, 2), dtype=np.float32),
    "labels": np.arange(50) % 3,
    "short": np.zeros((10, 3), dtype=np.float32),
    "w2": np.ones((50, 2), dtype=np.float32),
    "line": np.zeros(50, dtype=np.float32),
}
DENSE = ("Dense", {"output_dim": 6, "input_dim": 5})
MODEL = sequential(DENSE, ("Dense", {"output_dim": 3, "activation": "softmax"}))
COMPILE = {"optimizer": "sgd", "loss": "categorical_crossentropy"}
FIT = {"x": "d/x", "y": "d/y", "nb_epoch": 1}


def branches(*widths: int, **config: Any) -> dict[str, Any]:
    layers = [sequential(("Dense", {"output_dim": width, "input_dim": 5})) for width in widths]
    return sequential(("Merge", {"layers": layers, **config}))


def job(**change: Any) -> dict[str, Any]:
    return {"model": MODEL, "compile": COMPILE, "fit": FIT} | change


def only(*layers: Any) -> dict[str, Any]:
    return {"model": sequential(*layers)}


REFUSED: dict[str, tuple[dict[str, Any], type[DefinitionError], str]] = {
    "wrong input dim": (job(fit=FIT | {"x": "d/x3"}), ShapeMismatch, r"\(None, 5\).*\(50, 3\)"),
    "wrong target dim": (job(fit=FIT | {"y": "d/y2"}), ShapeMismatch, r"\(None, 3\).*\(50, 2\)"),
    "int target to categorical": (job(fit=FIT | {"y": "d/labels"}), ShapeMismatch, "to_categorical"),
    "different lengths": (job(fit=FIT | {"y": "d/short"}), BadReference, "same number of samples"),
    "2D sample_weight": (job(fit=FIT | {"sample_weight": "d/w2"}), ShapeMismatch, "temporal"),
    "no input shape": (only(("Dense", {"output_dim": 2})), BadModel, "batch_input_shape"),
    "unknown optimizer": (job(compile=COMPILE | {"optimizer": "foo"}), UnknownName, "no optimizer named 'foo'"),
    "unknown loss": (job(compile=COMPILE | {"loss": "foo"}), UnknownName, "no loss named 'foo'"),
    "unknown metric": (job(compile=COMPILE | {"metrics": ["foo"]}), UnknownName, "no metric named 'foo'"),
    "unknown init": (only(("Dense", DENSE[1] | {"init": "foo"})), UnknownName, "named 'foo'"),
    "unknown activation": (only(("Dense", DENSE[1] | {"activation": "foo"})), UnknownName, "named 'foo'"),
    "unknown kw": (only(("Dense", DENSE[1] | {"foo": 1})), BadArgument, "no argument 'foo'"),
    "fit before compile": ({"model": MODEL, "fit": FIT}, BadArgument, "needs a compiled model"),
    "evaluate before compile": ({"model": MODEL, "evaluate": {"x": "d/x", "y": "d/y"}}, BadArgument, "compiled"),
    "Dense on 4D then mismatch": (
        only(("Dense", {"output_dim": 2, "input_shape": [2, 3, 4]}), ("LSTM", {"output_dim": 2})),
        ShapeMismatch,
        r"lstm_1 \(LSTM\) takes sequences.*\(None, 2, 3, 2\)",
    ),
    "mask unsupported": (
        only(("Embedding", {"input_dim": 5, "output_dim": 2, "input_length": 3, "mask_zero": True}), ("Flatten", {})),
        BadModel,
        "flatten_1.*does not support masking",
    ),
    "merge shape mismatch": ({"model": branches(2, 3)}, ShapeMismatch, r"\(None, 2\).*\(None, 3\)"),
    "merge unknown mode": ({"model": branches(2, 2, mode="foo")}, BadArgument, "'foo'"),
    "merge one": ({"model": branches(2)}, BadModel, "two layers or more"),
    "stateful needs batch size": (
        only(("LSTM", {"output_dim": 2, "stateful": True, "input_shape": [3, 2]})),
        BadModel,
        "batch_input_shape",
    ),
}
TAKEN: dict[str, dict[str, Any]] = {
    "list input": job(fit=FIT | {"x": ["d/x"]}),
    "predict before compile": {"model": MODEL, "predict": {"x": "d/x"}},
    "merge concat ok": {"model": branches(2, 3, mode="concat")},
    "1D x is expanded to (n,1)": job(
        model=sequential(("Dense", {"output_dim": 3, "input_dim": 1, "activation": "softmax"})),
        fit=FIT | {"x": "d/line"},
    ),
    "empty list of metrics": job(compile=COMPILE | {"metrics": []}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_keras_1_refused_is_refused(what):
    body, error, words = REFUSED[what]
    assert RECORDED[what] != "ok"
    with pytest.raises(error, match=words):
        plan_of(DATA, **body)


@pytest.mark.parametrize("what", TAKEN)
def test_what_keras_1_took_is_taken(what):
    assert RECORDED[what] == "ok"
    run = training(DATA, **TAKEN[what])
    run.fit(Notebook())
    assert run.plan.model.summary()["outputs"][0]["shape"][-1] in (3, 5)


@pytest.mark.parametrize("what", ["set_weights wrong shape", "set_weights wrong count"])
def test_weights_that_do_not_fit_a_layer_are_refused(what, tmp_path):
    other = {
        "set_weights wrong shape": sequential(("Dense", {"output_dim": 3, "input_dim": 3})),
        "set_weights wrong count": sequential(("Dense", {"output_dim": 6, "input_dim": 5, "bias": False})),
    }[what]
    path = tmp_path / "weights.h5"
    training(DATA, model=other).save_weights(path, "hdf5")

    with pytest.raises(BadFile, match=r"\[3, 3\]|1 arrays"):
        training(DATA, model=sequential(DENSE)).load_weights(path)


def test_every_record_is_held_to():
    held = {*REFUSED, *TAKEN, "set_weights wrong shape", "set_weights wrong count"}
    assert held == set(RECORDED)
