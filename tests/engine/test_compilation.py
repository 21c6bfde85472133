"""A long job's step is compiled: the same numbers, repeatable, and resumed to the last bit."""

import numpy as np
import pytest
import torch

from engine.plan import Plan
from engine.training import compilation, loop, threads
from tests.engine.test_training import DATA, Killed, killer, mlp
from tests.engine.yard import Notebook, describing, sequential, training

OPTIONS = {"validation_data": {"x": "d/x_val", "y": "d/y_val"}, "nb_epoch": 3}


@pytest.fixture
def long(monkeypatch):
    """Let a job of any length be long enough to compile."""
    monkeypatch.setattr(compilation, "WORTHWHILE_STEPS", 1)


def test_a_compiled_run_gives_the_eager_numbers(long, monkeypatch):
    compiled = mlp(**OPTIONS)
    compiled.fit(Notebook())
    monkeypatch.setattr(compilation, "WORTHWHILE_STEPS", 10**9)
    eager = mlp(**OPTIONS)
    eager.fit(Notebook())

    assert compiled.stepper.compiles
    assert not eager.stepper.compiles
    np.testing.assert_allclose(compiled.history["series"]["loss"], eager.history["series"]["loss"], rtol=1e-5)
    for ours, theirs in zip(compiled.weights().values(), eager.weights().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_killed_and_resumed_a_compiled_run_ends_in_the_same_bits(long, tmp_path):
    whole = mlp(**OPTIONS)
    whole.fit(Notebook())
    first = mlp(**OPTIONS)
    with pytest.raises(Killed):
        first.fit(Notebook(killer(10)))
    first.save(tmp_path / "checkpoint")
    second = mlp(**OPTIONS)
    second.restore(tmp_path / "checkpoint")
    second.fit(Notebook())
    assert whole.stepper.compiles
    assert second.stepper.compiles
    assert second.weights_sha256() == whole.weights_sha256()


def test_a_run_says_that_it_compiles_before_it_does(long):
    run, phases = mlp(nb_epoch=1), []
    run.fit(Notebook(lambda: phases.append((run.progress.phase, run.progress.step))))
    assert phases[:2] == [("compile", 0), ("fit", 1)]
    assert len(phases) == 8


def test_where_nothing_can_be_compiled_the_run_stays_eager(long, monkeypatch):
    def fail(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(compilation, "compile_step", fail)
    run = mlp(nb_epoch=2)
    run.fit(Notebook())
    assert run.steps == 14
    assert not run.stepper.compiles


def test_a_short_job_does_not_compile():
    assert not mlp().stepper.compiles


def plan_of_width(width):
    model = sequential(("Dense", {"output_dim": width, "input_dim": 20}))
    return Plan.read({"model": model, "predict": {"x": "d/x"}}, describing(DATA))


def test_a_small_model_takes_one_thread_and_a_large_one_all():
    assert threads.threads_for(plan_of_width(10), 8) == 1
    assert threads.threads_for(plan_of_width(100_000), 8) == 8
    images = ("Convolution2D", {"nb_filter": 8, "nb_row": 3, "nb_col": 3, "input_shape": [64, 64, 3]})
    x = {"x": np.zeros((1, 64, 64, 3), dtype=np.float32)}
    plan = Plan.read({"model": sequential(images), "predict": {"x": "d/x"}}, describing(x))
    assert threads.threads_for(plan, 8) == 8


def reading_run():
    """Train where many threads add to few rows of a table, and running averages move."""
    rng = np.random.default_rng(0)
    data = {"x": rng.integers(0, 50, (256, 200)), "y": rng.random((256, 200, 64), dtype=np.float32)}
    run = training(
        data,
        model=sequential(
            ("Embedding", {"input_dim": 50, "output_dim": 64, "input_length": 200, "dropout": 0.2}),
            ("BatchNormalization", {}),
            ("SReLU", {"shared_axes": [1]}),
        ),
        compile={"optimizer": "adam", "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "nb_epoch": 1, "batch_size": 64},
    )
    run.fit(Notebook())
    return run


def test_a_compiled_embedding_is_repeatable_on_many_threads_and_running_averages_move_as_eagerly(long, monkeypatch):
    monkeypatch.setattr(loop, "threads_for", lambda *_: 4)
    try:
        runs = [reading_run() for _ in range(2)]
        monkeypatch.setattr(compilation, "WORTHWHILE_STEPS", 10**9)
        eager = reading_run().weights()
    finally:
        torch.set_num_threads(1)
    assert all(each.stepper.compiles for each in runs)
    assert runs[0].weights_sha256() == runs[1].weights_sha256()
    compiled = runs[0].weights()
    for name in ("running_mean", "running_std"):
        key = f"batchnormalization_1/{name}"
        np.testing.assert_allclose(compiled[key], eager[key], rtol=1e-4, atol=1e-7)
        assert not (eager[key] == eager[key][0]).all()


@pytest.mark.slow
def test_a_compiled_step_of_convolutions_and_pools_gives_the_eager_numbers(long, monkeypatch):
    model = sequential(
        ("Convolution2D", {"nb_filter": 3, "nb_row": 2, "nb_col": 3, "border_mode": "same", "input_shape": [9, 8, 2]}),
        ("MaxPooling2D", {"pool_size": [3, 2], "strides": [2, 2], "border_mode": "same"}),
        ("AveragePooling2D", {"border_mode": "same"}),
        ("ZeroPadding2D", {}),
        ("UpSampling2D", {}),
        ("LocallyConnected2D", {"nb_filter": 2, "nb_row": 2, "nb_col": 2}),
        ("GlobalMaxPooling2D", {}),
    )
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=size).astype(np.float32) for name, size in (("x", (12, 9, 8, 2)), ("y", (12, 2)))}
    body = {
        "model": model,
        "compile": {"loss": "mse", "optimizer": "sgd"},
        "fit": {"x": "d/x", "y": "d/y", "batch_size": 4, "nb_epoch": 3},
    }
    compiled = training(data, **body)
    compiled.fit(Notebook())
    monkeypatch.setattr(compilation, "WORTHWHILE_STEPS", 10**9)
    eager = training(data, **body)
    eager.fit(Notebook())

    assert compiled.stepper.compiles
    np.testing.assert_allclose(compiled.history["series"]["loss"], eager.history["series"]["loss"], rtol=1e-5)
    for ours, theirs in zip(compiled.weights().values(), eager.weights().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
