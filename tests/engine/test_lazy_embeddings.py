"""A large embedding table learns in the rows that a batch names alone: to the same numbers as if it moved whole."""

import numpy as np
import pytest

from engine.errors import BadFile
from engine.training import cost, tables
from tests.engine.test_training import Killed, killer
from tests.engine.yard import Notebook, plan_of, sequential, training

ROWS, WIDTH, LENGTH, BATCH = 60, 5, 4, 4
RNG = np.random.default_rng(3)
#: Forty samples name few of the rows, some of them twice in a sample; the rows from 50 on are never named.
DATA = {
    "x": RNG.integers(0, 50, (40, LENGTH)) // 2 * 2,
    "other": RNG.integers(0, 50, (40, LENGTH)),
    "y": RNG.random((40, 2), dtype=np.float32),
}
OPTIMIZERS = [
    ("SGD", {"lr": 0.1, "decay": 0.01}),
    ("SGD", {"lr": 0.1, "nesterov": True}),
    ("RMSprop", {"lr": 0.01, "decay": 0.01}),
    ("Adagrad", {"lr": 0.05, "decay": 0.01}),
    ("Adadelta", {"decay": 0.01}),
]
CLIPS = [{}, {"clipnorm": 0.05}, {"clipvalue": 0.002}, {"clipnorm": 0.1, "clipvalue": 0.01}]


@pytest.fixture(autouse=True)
def worthwhile(monkeypatch):
    """Let a table of any size be worth it."""
    monkeypatch.setattr(tables, "WORTHWHILE_VALUES", 1)


def embedding(name="e", **config):
    return ("Embedding", {"input_dim": ROWS, "output_dim": WIDTH, "input_length": LENGTH, "name": name} | config)


MODEL = sequential(embedding(), ("Flatten", {}), ("Dense", {"output_dim": 2, "name": "d"}))


def run_of(optimizer="rmsprop", model=MODEL, x="d/x", **fit):
    return training(
        DATA,
        model=model,
        compile={"optimizer": optimizer, "loss": "mse"},
        fit={"x": x, "y": "d/y", "batch_size": BATCH, "nb_epoch": 3} | fit,
        evaluate={"x": x, "y": "d/y"},
        predict={"x": x},
    )


def dense(*arguments, **options):
    """Make the run that moves its tables whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "WORTHWHILE_VALUES", 10**9)
        run = run_of(*arguments, **options)
    assert not run.step.tables
    return run


def fitted(run):
    run.fit(Notebook())
    return run


def same_numbers(ours, theirs):
    """Compare all that two runs have learned."""
    memories = [run.step.memory(run.state) for run in (ours, theirs)]
    assert set(memories[0]) == set(memories[1])
    pairs = [(ours.weights()[key], theirs.weights()[key]) for key in theirs.weights()]
    pairs += [(memories[0][key], memories[1][key]) for key in memories[1]]
    pairs.append((ours.history["series"]["loss"], theirs.history["series"]["loss"]))
    for one, other in [(np.asarray(one), np.asarray(other)) for one, other in pairs]:
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.abs(other).max(initial=0))


def lazy_tables(**options):
    return [each.weight.name for each in run_of(**options).step.tables]


@pytest.mark.parametrize("clips", CLIPS, ids=str)
@pytest.mark.parametrize(("name", "config"), OPTIMIZERS, ids=str)
def test_thirty_steps_give_the_numbers_of_a_table_that_moves_whole(name, config, clips):
    optimizer = {"class_name": name, "config": config | clips}
    lazy = fitted(run_of(optimizer))
    assert [each.weight.name for each in lazy.step.tables] == ["e/W"]
    assert lazy.steps == 30
    same_numbers(lazy, fitted(dense(optimizer)))


def test_a_row_that_no_batch_names_keeps_its_bits():
    run = run_of()
    before = run.weights()["e/W"]
    after = fitted(run).weights()["e/W"]
    named = np.unique(DATA["x"])
    others = np.setdiff1d(np.arange(ROWS), named)
    assert len(others) > 10
    assert (after[others] == before[others]).all()
    assert (after[named] != before[named]).any(axis=1).all()


def test_an_index_that_a_batch_names_often_counts_as_often():
    once = DATA | {"x": np.full((4, LENGTH), 7)}
    options = {"fit": {"x": "d/x", "y": "d/y", "batch_size": 4, "nb_epoch": 2}}
    body = {"model": MODEL, "compile": {"optimizer": "adagrad", "loss": "mse"}} | options
    data = once | {"y": DATA["y"][:4]}
    lazy = fitted(training(data, **body))
    assert lazy.step.tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "WORTHWHILE_VALUES", 10**9)
        whole = fitted(training(data, **body))
    same_numbers(lazy, whole)


def test_a_last_batch_that_is_short_is_no_exception():
    options = {"batch_size": 3, "nb_epoch": 2}
    same_numbers(fitted(run_of(**options)), fitted(dense(**options)))


def branches(second):
    return sequential(
        (
            "Merge",
            {
                "layers": [
                    sequential(embedding("a"), ("Flatten", {})),
                    sequential(second, ("Flatten", {}), ("Activation", {"activation": "tanh"})),
                ],
                "mode": "concat",
            },
        ),
        ("Dense", {"output_dim": 2, "name": "d"}),
    )


def test_two_tables_in_two_branches_each_learn_from_their_own_input():
    options = {"model": branches(embedding("b", output_dim=3)), "x": ["d/x", "d/other"]}
    lazy = fitted(run_of("adadelta", **options))
    assert [each.weight.name for each in lazy.step.tables] == ["a/W", "b/W"]
    same_numbers(lazy, fitted(dense("adadelta", **options)))


def test_a_table_that_two_branches_read_for_one_input_learns_from_both():
    options = {"model": branches(embedding("a")), "x": "d/x"}
    lazy = fitted(run_of(**options))
    assert [each.weight.name for each in lazy.step.tables] == ["a/W"]
    same_numbers(lazy, fitted(dense(**options)))


def nested(times):
    inner = sequential(embedding(), ("Flatten", {"name": "f"}), ("Dense", {"output_dim": LENGTH, "name": "n"}))
    each = {**inner, "name": "inner"}
    return {
        "class_name": "Sequential",
        "config": [each] * times + [{"class_name": "Dense", "config": {"output_dim": 2}}],
    }


def test_a_table_at_the_front_of_a_nested_model_learns_lazily_too():
    lazy = fitted(run_of(model=nested(1)))
    assert [each.weight.name for each in lazy.step.tables] == ["inner/e/W"]
    same_numbers(lazy, fitted(dense(model=nested(1))))


REGULARIZED = {"W_regularizer": {"name": "l2", "l": 0.1}}


def test_a_table_moves_whole_where_its_rows_do_not_come_from_the_data_alone():
    assert lazy_tables(model=nested(2)) == []
    first = ("Reshape", {"target_shape": [LENGTH], "input_shape": [LENGTH]})
    assert lazy_tables(model=sequential(first, embedding(), ("Flatten", {}), ("Dense", {"output_dim": 2}))) == []


@pytest.mark.parametrize(
    "config", [REGULARIZED, {"W_constraint": {"name": "nonneg"}}, {"dropout": 0.2}, {"trainable": False}], ids=str
)
def test_a_table_moves_whole_where_a_step_touches_rows_that_no_index_names(config):
    model = sequential(embedding(**config), ("Flatten", {}), ("Dense", {"output_dim": 2}))
    assert lazy_tables(model=model) == []


@pytest.mark.parametrize(
    "optimizer",
    ["adam", "adamax", "nadam", {"class_name": "SGD", "config": {"momentum": 0.5}}]
    + [{"class_name": name, "config": {"epsilon": 0}} for name in ("RMSprop", "Adagrad", "Adadelta")],
    ids=str,
)
def test_a_table_moves_whole_where_the_optimizer_moves_what_has_no_gradient(optimizer):
    assert lazy_tables(optimizer=optimizer) == []


def test_a_table_moves_whole_where_that_is_faster_or_nothing_is_learned(monkeypatch):
    assert lazy_tables(batch_size=5) == ["e/W"]
    assert lazy_tables(batch_size=6) == []
    monkeypatch.setattr(tables, "WORTHWHILE_VALUES", ROWS * WIDTH + 1)
    assert lazy_tables() == []
    monkeypatch.setattr(tables, "WORTHWHILE_VALUES", 1)
    assert training(DATA, model=MODEL, predict={"x": "d/x"}).step.tables == ()


def test_evaluation_and_prediction_read_the_whole_table_between_epochs():
    options = {"validation_data": {"x": "d/other", "y": "d/y"}}
    lazy, whole = fitted(run_of(**options)), fitted(dense(**options))
    np.testing.assert_allclose(lazy.history["series"]["val_loss"], whole.history["series"]["val_loss"], rtol=1e-6)
    np.testing.assert_allclose(lazy.predict(Notebook()), whole.predict(Notebook()), rtol=1e-5, atol=1e-7)
    assert lazy.evaluate(Notebook())["loss"] == pytest.approx(whole.evaluate(Notebook())["loss"], rel=1e-6)


def test_weights_are_the_current_ones_after_every_batch():
    lazy, whole = run_of(nb_epoch=1), dense(nb_epoch=1)
    seen = {lazy: [], whole: []}
    for run, kept in seen.items():
        run.fit(Notebook(lambda run=run, kept=kept: kept.append(run.weights()["e/W"])))
    np.testing.assert_allclose(seen[lazy], seen[whole], rtol=1e-6, atol=1e-9)
    assert not (seen[lazy][0] == seen[lazy][1]).all()


def test_the_mask_is_made_of_the_indices_and_not_of_their_places():
    model = sequential(embedding(mask_zero=True), ("Activation", {"activation": "tanh"}))
    data = DATA | {"y": RNG.random((40, LENGTH, WIDTH), dtype=np.float32)}
    body = {
        "model": model,
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "fit": {"x": "d/x", "y": "d/y", "batch_size": BATCH, "nb_epoch": 1},
    }
    lazy = fitted(training(data, **body))
    assert lazy.step.tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "WORTHWHILE_VALUES", 10**9)
        whole = fitted(training(data, **body))
    assert (data["x"] == 0).any()
    same_numbers(lazy, whole)


def test_floats_name_the_rows_that_they_are_cut_to():
    model = sequential(embedding(input_dtype="float32"), ("Flatten", {}), ("Dense", {"output_dim": 2, "name": "d"}))
    data = DATA | {"x": (DATA["x"] + 0.75).astype(np.float32)}
    body = {"compile": {"optimizer": "rmsprop", "loss": "mse"}, "fit": {"x": "d/x", "y": "d/y", "batch_size": BATCH}}
    floats, whole = fitted(training(data, model=model, **body)), fitted(training(DATA, model=MODEL, **body))
    assert floats.step.tables
    assert floats.weights_sha256() == whole.weights_sha256()


@pytest.mark.parametrize("kill", [1, 7, 10, 23])
def test_killed_and_resumed_a_run_ends_in_the_same_bits(kill, tmp_path):
    whole = fitted(run_of("adadelta"))
    first = run_of("adadelta")
    with pytest.raises(Killed):
        first.fit(Notebook(killer(kill)))
    first.save(tmp_path / "checkpoint")
    first.take({key: array + 1 for key, array in first.weights().items()})  # what was saved is none of its business
    second = run_of("adadelta")
    second.restore(tmp_path / "checkpoint")
    fitted(second)
    assert second.weights_sha256() == whole.weights_sha256()
    assert second.history == whole.history
    assert all((second.state[key] == each).all() for key, each in whole.state.items())


@pytest.mark.parametrize(("before", "after"), [(run_of, dense), (dense, run_of), (run_of, run_of)])
def test_an_optimizers_memory_is_the_same_file_for_both(before, after, tmp_path):
    first = fitted(before(shuffle=False, nb_epoch=2))
    first.save_optimizer(tmp_path / "optimizer")
    first.save_weights(tmp_path / "weights", "hdf5")
    second = after(shuffle=False, initial_epoch=2)
    second.load_weights(tmp_path / "weights")
    second.load_optimizer(tmp_path / "optimizer")
    whole = fitted(dense(shuffle=False))
    fitted(second).history["series"]["loss"][:0] = first.history["series"]["loss"]
    same_numbers(second, whole)
    with pytest.raises(BadFile, match="another optimizer"):
        run_of("adagrad", model=branches(embedding("b")), x=["d/x", "d/other"]).load_optimizer(tmp_path / "optimizer")


def test_weights_that_are_taken_are_copied_and_what_the_optimizer_remembers_is_forgotten():
    run = fitted(run_of("adagrad"))
    given = run.weights()
    kept = {key: array.copy() for key, array in given.items()}
    run.take(given)
    assert all((each == 0).all() for each in run.step.memory(run.state).values())
    run.phase, run.epoch = "fit", 0
    fitted(run)
    assert all((given[key] == kept[key]).all() for key in kept)
    assert not (run.weights()["e/W"] == kept["e/W"]).all()


def test_a_step_never_copies_the_table():
    run = run_of(nb_epoch=1)
    places = {key: run.state[key].data_ptr() for key in ("table:e/W", "slot:a:e/W", "seen:e/W")}
    fitted(run)
    assert {key: run.state[key].data_ptr() for key in places} == places


def test_a_table_that_lies_apart_does_not_call_for_threads(monkeypatch):
    computed = run_of().plan.estimate["activations"] - LENGTH * WIDTH  # a row that is looked up costs nothing
    work = 3 * BATCH * cost.PER_VALUE * computed
    monkeypatch.setattr(cost, "SMALL_STEP", work + 3 * BATCH * ROWS * WIDTH)
    without_evaluation = {"batch_size": BATCH, "nb_epoch": 1}
    body = {"model": MODEL, "compile": {"optimizer": "sgd", "loss": "mse"}}
    plan = plan_of(DATA, fit={"x": "d/x", "y": "d/y"} | without_evaluation, **body)
    assert cost.threads_for(plan, 8) == 1
    monkeypatch.setattr(tables, "WORTHWHILE_VALUES", 10**9)
    assert cost.threads_for(plan, 8) == 8
