"""A long job's steps are compiled beside its first ones: the same numbers, repeatable, and resumed to the last bit."""

import itertools

import numpy as np
import pytest

from engine.plan import Plan
from engine.training import compilation, cost
from tests.engine.test_training import DATA, Killed, killer, mlp
from tests.engine.yard import Notebook, describing, sequential, training

pytestmark = pytest.mark.xdist_group("compiled")  # what one test compiles the next one finds

OPTIONS = {"validation_data": {"x": "d/x_val", "y": "d/y_val"}, "nb_epoch": 3}


@pytest.fixture
def long(monkeypatch):
    """Let a job of any length be long enough to compile, and switch in the middle of its first epoch."""
    monkeypatch.setattr(compilation, "WORTHWHILE_SECONDS", 0.0)
    monkeypatch.setattr(compilation, "step_seconds", lambda plan: compilation.EAGER_SECONDS / 3)


def eagerly(monkeypatch):
    monkeypatch.setattr(compilation, "WORTHWHILE_SECONDS", 10.0**9)


def test_a_compiled_run_gives_the_eager_numbers(long, monkeypatch):
    compiled = mlp(**OPTIONS)
    compiled.fit(Notebook())
    eagerly(monkeypatch)
    eager = mlp(**OPTIONS)
    eager.fit(Notebook())

    assert compiled.stepper.compiles
    assert not eager.stepper.compiles
    np.testing.assert_allclose(compiled.history["series"]["loss"], eager.history["series"]["loss"], rtol=1e-5)
    for ours, theirs in zip(compiled.weights().values(), eager.weights().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["loop.py", "layers/loop.c"])
def test_what_another_source_has_made_is_not_gone_on_with(name, monkeypatch, tmp_path):
    (tmp_path / "layers").mkdir()
    (tmp_path / name).write_text("1")
    monkeypatch.setattr(compilation.engine, "__file__", str(tmp_path / "__init__.py"))
    digest = compilation.sources.__wrapped__  # not what is kept of our own
    before = digest()
    (tmp_path / name).write_text("2")
    assert digest() != before


@pytest.mark.parametrize("batches", [2, 7])
def test_killed_and_resumed_a_compiled_run_ends_in_the_same_bits(long, tmp_path, batches):
    whole = mlp(**OPTIONS)
    whole.fit(Notebook())
    first = mlp(**OPTIONS)
    with pytest.raises(Killed):
        first.fit(Notebook(killer(batches)))  # before the switch, or long after it
    first.save(tmp_path / "checkpoint")
    second = mlp(**OPTIONS)
    second.restore(tmp_path / "checkpoint")
    second.fit(Notebook())
    assert (first.steps < 3) == (batches == 2)
    assert second.stepper.compiles
    assert second.weights_sha256() == whole.weights_sha256()


def test_steps_are_eager_while_the_compiler_works_and_lie_together_afterwards(long):
    run, steps = mlp(nb_epoch=3), []
    run.fit(Notebook(lambda: steps.append(run.progress.step)))
    reached = sorted(set(steps))
    assert reached[:3] == [1, 2, 3]
    assert max(b - a for a, b in itertools.pairwise(reached)) == 3  # half of the whole batches of an epoch
    assert reached[-1] == 3 * 7


def test_a_run_that_has_to_wait_for_the_compiler_says_so(long, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path)  # there is nothing ready in it
    waits = iter([True, True, False])
    monkeypatch.setattr(compilation.Compiling, "is_done", property(lambda _: not next(waits, False)))
    run, phases = mlp(nb_epoch=1), []
    run.fit(Notebook(lambda: phases.append((run.progress.phase, run.progress.step))))
    assert phases[2:6] == [("fit", 3), ("compile", 3), ("compile", 3), ("fit", 4)]


def test_where_nothing_can_be_compiled_the_run_stays_eager_and_so_does_its_resumption(long, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(compilation.sys, "executable", "/bin/false")
    run = mlp(nb_epoch=2)
    run.fit(Notebook())
    run.save(tmp_path / "checkpoint")
    again = mlp(nb_epoch=2)
    again.restore(tmp_path / "checkpoint")
    assert run.steps == 14
    assert not run.stepper.compiles
    assert not again.stepper.compiles


def test_a_run_that_ends_early_ends_its_compiler(long, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path)
    run = mlp(nb_epoch=1)
    with pytest.raises(Killed):
        run.fit(Notebook(killer(1)))
    assert run.stepper._compiling.is_done
    assert list(tmp_path.glob("*.so")) == []


def test_what_is_compiled_goes_by_everything_that_it_depends_on():
    def digest(**change):
        recipe = {"model": {}, "compile": {}, "steps": 8, "x": [], "y": [], "w": None, "noise": []}
        return compilation.Recipe(**recipe | {"threads": 1} | change).digest()

    changes = [
        {"model": {"a": 1}},
        {"compile": {"b": 1}},
        {"steps": 7},
        {"w": [16]},
        {"threads": 2},
    ]
    assert len({digest(), *(digest(**each) for each in changes)}) == 1 + len(changes)


@pytest.mark.parametrize(("batches", "steps"), [(1, 1), (2, 2), (6, 3), (7, 3), (8, 4), (9, 3), (1000, 5), (1002, 3)])
def test_a_call_takes_so_many_steps_that_few_batches_are_left_over(batches, steps):
    assert compilation.steps_together(batches) == steps


def test_a_short_job_does_not_compile():
    assert not mlp().stepper.compiles


def steps_that_pay(layer, x):
    """Count the steps from which on compiling a model of one layer is worth it."""
    model, data = sequential(layer), {"x": x, "y": np.zeros((10, 2), dtype=np.float32)}

    def pays(steps):
        fit = {"x": "d/x", "y": "d/y", "batch_size": 10, "nb_epoch": steps}
        body = {"model": model, "compile": {"loss": "mse", "optimizer": "sgd"}, "fit": fit}
        return compilation.worthwhile(Plan.read(body, describing(data)))

    return next(steps for steps in range(1_000, 100_000, 1_000) if pays(steps))


def test_steps_with_recurrent_loops_must_be_more_seconds_long_to_be_compiled():
    dense = steps_that_pay(("Dense", {"output_dim": 2, "input_dim": 3}), np.zeros((10, 3), dtype=np.float32))
    loop = steps_that_pay(("LSTM", {"output_dim": 2, "input_shape": [4, 3]}), np.zeros((10, 4, 3), dtype=np.float32))
    assert dense * cost.STEP_TAKES == pytest.approx(compilation.WORTHWHILE_SECONDS, rel=0.15)
    longer = compilation.PATIENCE * compilation.WORTHWHILE_SECONDS
    assert loop * (cost.STEP_TAKES + cost.LOOP_TAKES) == pytest.approx(longer, rel=0.1)


def plan_of_width(width):
    model = sequential(("Dense", {"output_dim": width, "input_dim": 20}))
    return Plan.read({"model": model, "predict": {"x": "d/x"}}, describing(DATA))


def test_a_small_model_takes_one_thread_and_a_large_one_all():
    assert cost.threads_for(plan_of_width(10), 8) == 1
    assert cost.threads_for(plan_of_width(100_000), 8) == 8
    images = ("Convolution2D", {"nb_filter": 8, "nb_row": 3, "nb_col": 3, "input_shape": [64, 64, 3]})
    x = {"x": np.zeros((1, 64, 64, 3), dtype=np.float32)}
    plan = Plan.read({"model": sequential(images), "predict": {"x": "d/x"}}, describing(x))
    assert cost.threads_for(plan, 8) == 8


def test_steps_with_an_embedding_that_learns_stay_eager(long):
    run = training(
        {"x": np.ones((12, 2), dtype=np.int64), "y": np.ones((12, 4), dtype=np.float32)},
        model=sequential(("Embedding", {"input_dim": 9, "output_dim": 2, "input_length": 2}), ("Flatten", {})),
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "batch_size": 2, "nb_epoch": 2},
    )
    run.fit(Notebook())
    assert run.steps == 12
    assert not run.stepper.compiles


def assert_compiled_gives_the_eager_numbers(data, body, monkeypatch):
    compiled = training(data, **body)
    compiled.fit(Notebook())
    eagerly(monkeypatch)
    eager = training(data, **body)
    eager.fit(Notebook())

    assert compiled.stepper.compiles
    np.testing.assert_allclose(compiled.history["series"]["loss"], eager.history["series"]["loss"], rtol=1e-5)
    for ours, theirs in zip(compiled.weights().values(), eager.weights().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_step_of_recurrent_layers_gives_the_eager_numbers(long, monkeypatch):
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=size).astype(np.float32) for name, size in (("x", (12, 5, 2)), ("y", (12, 3)))}
    body = {
        "model": sequential(
            ("LSTM", {"output_dim": 4, "input_shape": [5, 2], "return_sequences": True}),
            ("GRU", {"output_dim": 3, "return_sequences": True, "go_backwards": True}),
            ("SimpleRNN", {"output_dim": 3}),
        ),
        "compile": {"loss": "mse", "optimizer": "rmsprop"},
        "fit": {"x": "d/x", "y": "d/y", "batch_size": 4, "nb_epoch": 4},
    }
    assert_compiled_gives_the_eager_numbers(data, body, monkeypatch)


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
    assert_compiled_gives_the_eager_numbers(data, body, monkeypatch)


@pytest.mark.slow
def test_a_compiled_step_of_later_keras_gives_the_eager_numbers(long, monkeypatch):
    model = sequential(
        (
            "Convolution2D",
            {"nb_filter": 3, "nb_row": 2, "nb_col": 2, "border_mode": "same_tf", "input_shape": [5, 4, 2]},
        ),
        ("BatchNormalization", {"version": 3, "scale": False}),
        ("MaxPooling2D", {"border_mode": "same_tf", "strides": [1, 2]}),
        ("Activation", {"activation": "gelu"}),
        ("Reshape", {"target_shape": [5, 6]}),
        ("GRU", {"output_dim": 3, "consume_less": "gpu", "reset_after": True}),
    )
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=size).astype(np.float32) for name, size in (("x", (12, 5, 4, 2)), ("y", (12, 3)))}
    body = {
        "model": model,
        "compile": {
            "loss": "mse",
            "optimizer": {"class_name": "RMSprop", "config": {"lr": 0.01, "epsilon_inside": True}},
        },
        "fit": {"x": "d/x", "y": "d/y", "batch_size": 4, "nb_epoch": 4},
    }
    assert_compiled_gives_the_eager_numbers(data, body, monkeypatch)
