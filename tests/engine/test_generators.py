"""Epochs of so many samples: batches in the data's order, again and again, as Keras 1's fit_generator had them."""

import numpy as np
import pytest

from engine.errors import BadArgument
from tests.engine.test_training import Killed, killer
from tests.engine.yard import Golden, Notebook, plan_of, training

GOLDEN = Golden("api_generators")
COMPILE = {
    "optimizer": {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9}},
    "loss": "categorical_crossentropy",
    "metrics": ["accuracy"],
}
DATA = GOLDEN.data | {"x20": GOLDEN.data["x"][:20], "y20": GOLDEN.data["y"][:20]}
FIT = {"x": "d/x", "y": "d/y", "samples_per_epoch": 50, "batch_size": 16, "nb_epoch": 3}


def run_of(fit, weights="w_init", **parts):
    run = training(DATA, model=GOLDEN.model, compile=COMPILE, fit=FIT | fit, **parts)
    keys = [each.name for each in run.plan.model.all_weights]
    run.take({key: DATA[f"{weights}_{index}"] for index, key in enumerate(keys)})
    return run


def held(series, record):
    for name, values in record.items():
        np.testing.assert_allclose(series[name], values, rtol=1e-6)


def test_s125_two_generators_in_a_row_train_and_judge_as_keras_1_recorded(tmp_path):
    judged = {"x": "d/x", "y": "d/y", "batch_size": 16, "val_samples": 50}
    first = run_of({"validation_data": {"x": "d/x20", "y": "d/y20"}}, evaluate=judged, predict={"x": "d/x"})
    first.fit(Notebook())
    held(first.history["series"], GOLDEN.facts["history"])
    np.testing.assert_allclose(list(first.evaluate(Notebook()).values()), GOLDEN.facts["evaluate_generator"], rtol=1e-6)
    np.testing.assert_allclose(first.predict(Notebook()), DATA["predict_generator"], atol=1e-6)

    first.save_optimizer(tmp_path / "optimizer")
    validation = {"x": "d/x", "y": "d/y", "batch_size": 10}
    again = {"batch_size": 20, "samples_per_epoch": 40, "nb_epoch": 2, "nb_val_samples": 30}
    second = run_of(again | {"validation_data": validation})
    second.take(first.weights())
    second.load_optimizer(tmp_path / "optimizer")
    second.fit(Notebook())
    held(second.history["series"], GOLDEN.facts["history2"])
    for index, array in enumerate(second.weights().values()):
        np.testing.assert_allclose(array, DATA[f"w_final_{index}"], rtol=1e-4, atol=1e-6)


def test_an_epoch_goes_on_where_the_one_before_it_ended_also_after_a_crash(tmp_path):
    uneven = {"samples_per_epoch": 40, "validation_data": {"x": "d/x", "y": "d/y"}, "nb_val_samples": 20}
    whole = run_of(uneven)
    whole.fit(Notebook())
    first = run_of(uneven)
    with pytest.raises(Killed):
        first.fit(Notebook(killer(5)))
    first.save(tmp_path / "checkpoint")
    second = run_of(uneven)
    second.restore(tmp_path / "checkpoint")
    second.fit(Notebook())

    assert whole.samples == 48 + 50 + 50  # 16 + 16 + 16, then 2 + 16 + 16 + 16 twice
    assert second.history == whole.history
    assert second.weights_sha256() == whole.weights_sha256()


def test_an_epoch_may_take_the_data_several_times():
    run = run_of({"samples_per_epoch": 150, "nb_epoch": 1})
    run.fit(Notebook())
    assert (run.steps, run.samples) == (12, 150)
    assert run.progress.total_steps == 12


def test_a_number_of_validation_samples_needs_validation_data():
    with pytest.raises(BadArgument, match="there is none") as refusal:
        plan_of(DATA, model=GOLDEN.model, compile=COMPILE, fit=FIT | {"nb_val_samples": 10})
    assert refusal.value.where == "/fit/nb_val_samples"
