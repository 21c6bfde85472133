"""Whole models in one file: what Keras 1 saved is gone on with, and what we write is laid out like it."""

import json

import h5py
import numpy as np
import pytest

from engine.errors import BadFile
from tests.engine.yard import GOLDEN, Golden, Notebook, sequential, training

SAVED = sorted(path.parent.name for path in GOLDEN.glob("*/model.h5"))
RESUMED = GOLDEN / "opt_resume_from_model_h5"


def resumed(optimizer="SGD", **config):
    with np.load(RESUMED / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    with h5py.File(RESUMED / "half.h5") as file:
        compiled = json.loads(file.attrs["training_config"])["optimizer_config"]["config"]
    config = config or (compiled if optimizer == "SGD" else {})
    run = training(
        data,
        model=json.loads((RESUMED / "model.json").read_text()),
        compile={
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"class_name": optimizer, "config": config},
        },
        fit={"x": "d/x", "y": "d/y", "nb_epoch": 2, "batch_size": 16, "shuffle": False},
    )
    return run, data


def test_training_goes_on_exactly_where_keras_1_stopped():
    run, data = resumed()
    facts = json.loads((RESUMED / "history.json").read_text())["history_second_half"]
    run.load_weights(RESUMED / "half.h5", kernels="theano")
    run.load_optimizer(RESUMED / "half.h5", kernels="theano")

    run.fit(Notebook())

    np.testing.assert_allclose(run.history["series"]["loss"], facts["loss"], rtol=1e-5)
    np.testing.assert_allclose(run.history["series"]["acc"], facts["acc"], rtol=1e-5)
    for index, array in enumerate(run.weights().values()):
        np.testing.assert_allclose(array, data[f"w_final_{index}"], rtol=1e-4, atol=1e-6)


def test_without_the_optimizers_state_it_would_end_elsewhere():
    run, data = resumed()
    run.load_weights(RESUMED / "half.h5", kernels="theano")
    run.fit(Notebook())
    assert np.abs(run.weights()["dense_1/W"] - data["w_final_0"]).max() > 1e-3


@pytest.mark.parametrize("case", SAVED)
def test_s127_the_weights_in_a_saved_model_are_the_trained_ones(case):
    golden = Golden(case)
    run, other = golden.training(), golden.training()
    run.load_weights(golden.folder / "model.h5", kernels="theano")
    other.load_weights(golden.folder / "trained.h5", kernels="theano")
    assert run.weights_sha256() == other.weights_sha256()


@pytest.mark.parametrize("case", SAVED)
def test_a_fit_leaves_the_optimizer_as_keras_1_saved_it(case):
    golden = Golden(case)
    run, theirs = golden.training(), golden.training()
    run.fit(Notebook())
    theirs.load_optimizer(golden.folder / "model.h5", kernels="theano")
    ours, wanted = run.remembered(), theirs.remembered()
    assert set(ours.moments) == set(wanted.moments)
    for moment, arrays in wanted.moments.items():
        for key, array in arrays.items():
            np.testing.assert_allclose(ours.moments[moment][key], array, rtol=1e-3, atol=1e-5)


def layout(path):
    """List all that a file holds: groups and arrays with their types and shapes, attributes with theirs."""
    found = {}

    def note(name, item):
        kind = (item.shape, item.dtype.str) if isinstance(item, h5py.Dataset) else "group"
        found[name] = kind, {key: form(item, key) for key in item.attrs}

    def form(item, key):
        its = item.attrs.get_id(key).get_type()
        value = item.attrs[key]
        names = value.tolist() if isinstance(value, np.ndarray) else None
        text = (its.is_variable_str(), its.get_cset()) if isinstance(its, h5py.h5t.TypeStringID) else its.dtype.str
        return text, names

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return found


@pytest.mark.parametrize("case", SAVED)
def test_a_model_is_saved_in_the_very_layout_of_keras_1(case, tmp_path):
    golden = Golden(case)
    run = golden.training()
    run.load_weights(golden.folder / "model.h5")
    run.save_model(tmp_path / "model.h5")
    assert layout(tmp_path / "model.h5") == layout(golden.folder / "model.h5")


@pytest.mark.parametrize("case", SAVED)
def test_what_is_saved_is_read_back_to_the_bit(case, tmp_path):
    golden = Golden(case)
    run, other = golden.training(), golden.training()
    run.fit(Notebook())
    run.save_model(tmp_path / "model.h5")
    other.load_weights(tmp_path / "model.h5")
    other.load_optimizer(tmp_path / "model.h5")
    assert other.weights_sha256() == run.weights_sha256()
    ours, theirs = run.step.memory(run.state), other.step.memory(other.state)
    assert all((ours[key] == theirs[key]).all() for key in ours if key.startswith("slot:") and ours[key].ndim)


def test_a_nadam_that_is_read_back_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, half = Golden("opt_nadam_clipnorm").training(), Golden("opt_nadam_clipnorm").training()
    half.fit(Notebook())
    half.save_model(tmp_path / "model.h5")
    whole.load_optimizer(tmp_path / "model.h5")
    assert float(whole.state["slot:m_schedule"]) == pytest.approx(float(half.state["slot:m_schedule"]), rel=1e-5)
    assert float(whole.state["k"]) == float(half.state["k"]) > 0


def test_another_optimizers_state_is_refused():
    run, _ = resumed("Adam")
    with pytest.raises(BadFile, match="optimizer is SGD, but the job compiles with Adam") as refusal:
        run.load_optimizer(RESUMED / "half.h5")
    assert refusal.value.where == "/weights/optimizer"


def test_a_file_of_weights_alone_has_no_optimizer_to_go_on_with():
    run, _ = resumed()
    with pytest.raises(BadFile, match="no optimizer state: only a whole model") as refusal:
        run.load_optimizer(GOLDEN / "mlp_softmax" / "initial.h5")
    assert refusal.value.where == "/weights/optimizer"


def test_an_optimizers_state_of_another_model_is_refused():
    golden = Golden("opt_adam_default")
    model = sequential(("Dense", {"output_dim": 3, "input_dim": 6}))
    run = training(golden.data, **(golden.body() | {"model": model}))
    with pytest.raises(BadFile, match="has 9 arrays, but Adam has 5"):
        run.load_optimizer(golden.folder / "model.h5")


@pytest.mark.parametrize("counter", [-1.0, float("nan"), 1e30])
def test_a_counter_that_counts_nothing_is_refused(counter, tmp_path):
    golden = Golden("opt_adam_default")
    path = tmp_path / "model.h5"
    path.write_bytes((golden.folder / "model.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["optimizer_weights/param_0"][()] = counter
    with pytest.raises(BadFile, match="The counter of updates"):
        golden.training().load_optimizer(path)
