"""A job's definition: what is taken, what is refused, and where the pointer goes."""

import json

import numpy as np
import pytest

from engine.errors import BadArgument, BadModel, BadReference, EngineError, ShapeMismatch, TooLarge, UnknownName
from engine.limits import Limits
from engine.plan import Plan
from tests.engine.yard import describing, plan_of, sequential

MODEL = sequential(("Dense", {"output_dim": 10, "input_dim": 20, "activation": "softmax"}))
COMPILE = {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
DATA = {
    "x": np.zeros((50, 20), dtype=np.float32),
    "x19": np.zeros((50, 19), dtype=np.float32),
    "y": np.zeros((50, 10), dtype=np.float32),
    "short": np.zeros((40, 10), dtype=np.float32),
    "labels": np.zeros(50, dtype=np.int64),
    "w": np.ones(50, dtype=np.float32),
    "w2": np.ones((50, 2), dtype=np.float32),
    "text": np.array(["a"] * 50),
    "none": np.zeros((0, 20), dtype=np.float32),
    "a": np.zeros(50, dtype=np.int32),
    "b": np.zeros(50, dtype=np.float64),
}


def plan(**fit):
    return plan_of(DATA, model=MODEL, compile=COMPILE, fit={"x": "d/x", "y": "d/y"} | fit)


def refused(error, where, says, **body):
    with pytest.raises(error, match=says) as refusal:
        plan_of(DATA, **({"model": MODEL, "compile": COMPILE} | body))
    assert refusal.value.where == where


def test_s51_fit_has_keras_1s_defaults():
    fit = plan().fit
    assert (fit.batch_size, fit.nb_epoch, fit.validation_split, fit.shuffle, fit.initial_epoch) == (
        32,
        10,
        0.0,
        True,
        0,
    )


def test_the_normal_form_reads_back_to_the_same_plan():
    read = plan(
        epochs=3,
        class_weight={"0": 1.0, "3": 2},
        callbacks=[{"class_name": "LearningRateScheduler", "config": {"schedule": {"0": 0.1}}}, "EarlyStopping"],
        validation_data={"x": "d/x", "y": {"to_categorical": "d/labels", "nb_classes": 10}},
    )
    again = plan_of(DATA, **json.loads(json.dumps(read.definition)))
    assert again.definition == read.definition
    assert read.definition["fit"]["nb_epoch"] == 3
    assert read.translated[0]["pointer"] == "/fit/epochs"


def test_steps_parameters_and_memory_are_estimated():
    estimate = plan(batch_size=16, nb_epoch=20, validation_split=0.2).estimate
    assert estimate["steps_per_epoch"] == 3
    assert estimate["total_steps"] == 60
    assert estimate["parameters"] == 210
    assert estimate["memory_bytes"] > 210 * 4 * 3


def test_s35_fit_and_evaluate_need_a_compiled_model_and_predict_does_not():
    for part in ("fit", "evaluate"):
        refused(BadArgument, "/compile", "needs a compiled model", compile=None, **{part: {"x": "d/x", "y": "d/y"}})
    assert plan_of(DATA, model=MODEL, predict={"x": "d/x"}).predict.batch_size == 32


@pytest.mark.parametrize(
    ("body", "error", "where", "says"),
    [
        ({"model": None}, BadModel, "/model", "needs a model"),
        ({"compile": {"optimizer": "sgd"}}, BadArgument, "/compile/loss", "needs `loss`"),
        ({"compile": COMPILE | {"loss": "mes"}}, UnknownName, "/compile/loss", "Did you mean 'mse'"),
        ({"compile": COMPILE | {"metrics": ["accuracey"]}}, UnknownName, "/compile/metrics/0", "mean 'accuracy'"),
        ({"compile": COMPILE | {"optimizer": "RMSProp"}}, UnknownName, "/compile/optimizer", "Did you mean 'RMSprop'"),
        ({"compile": COMPILE | {"metrics": "accuracy"}}, BadArgument, "/compile/metrics", "list of metrics"),
        ({"compile": COMPILE | {"metrics": ["acuracy"]}}, UnknownName, "/compile/metrics/0", "There is no metric"),
        ({"compile": COMPILE | {"metric": []}}, BadArgument, "/compile/metric", "Did you mean 'metrics'"),
        ({"dim_ordering": "up"}, BadArgument, "/dim_ordering", "th"),
    ],
)
def test_s36_s37_s38_s41_a_bad_compile_is_refused(body, error, where, says):
    refused(error, where, says, **body)


@pytest.mark.parametrize(
    ("fit", "error", "where", "says"),
    [
        ({"x": "d/x19"}, ShapeMismatch, "/fit/x", r"\(None, 20\).*\(50, 19\)"),
        ({"y": "d/short"}, BadReference, "/fit/y", "40 and the first of x has 50"),
        ({"y": "d/labels"}, ShapeMismatch, "/fit/y", "to_categorical.*sparse_categorical_crossentropy"),
        ({"y": "d/x"}, ShapeMismatch, "/fit/y", r"\(None, 10\)"),
        ({"x": "d/missing"}, BadReference, "/fit/x", "no array 'missing'"),
        ({"x": "d/text"}, BadReference, "/fit/x", "numbers are needed"),
        ({"x": "d/none"}, BadReference, "/fit/x", "no sample"),
        ({"x": "nodataset"}, BadReference, "/fit/x", "<dataset>/<array>"),
        ({"x": 5}, BadReference, "/fit/x", "Data must be"),
        ({"x": ["d/x", "d/x"]}, BadReference, "/fit/x", "lists 2 arrays"),
        ({"x": {"wrong": "d/x"}}, BadReference, "/fit/x", "dense_1_input"),
        ({"x": [[1, 2], [3]]}, BadReference, "/fit/x", "equal length"),
        ({"x": [["a"]]}, BadReference, "/fit/x", "numbers only"),
        ({"y": {"to_categorical": "d/labels"}}, BadReference, "/fit/y/nb_classes", "nb_classes"),
        ({"y": {"to_categorical": "d/y", "nb_classes": 10}}, ShapeMismatch, "/fit/y", r"\(50, 10, 10\)"),
        ({"y": {"to_categorical": "d/labels", "nb_classes": 9}}, ShapeMismatch, "/fit/y", r"\(50, 9\)"),
        ({"y": {"dataset": "d", "columns": []}}, BadReference, "/fit/y/columns", "list of column names"),
        ({"y": {"dataset": "d", "columns": ["a", "y"]}}, BadReference, "/fit/y/columns/1", "1-D"),
        ({"x": {"random": [50, 19]}}, ShapeMismatch, "/fit/x", r"\(None, 20\).*\(50, 19\)"),
        ({"x": {"random": []}}, BadReference, "/fit/x/random", "must be a shape"),
        ({"x": {"random": [50, 0]}}, BadReference, "/fit/x/random", "must be a shape"),
        ({"x": {"random": [50, True]}}, BadReference, "/fit/x/random", "must be a shape"),
        ({"x": {"random": [2**20, 2**20]}}, TooLarge, "/fit/x/random", "134,217,728 numbers"),
        ({"x": {"random": [50, 20], "seed": -1}}, BadReference, "/fit/x/seed", "0 or more"),
        ({"x": {"random": [50, 20], "low": 3}}, BadReference, "/fit/x/high", "from `low`"),
        ({"x": {"random": [50, 20], "low": 3, "high": 3}}, BadReference, "/fit/x/high", "3 and 3"),
        ({"x": {"random": [50, 20], "sed": 3}}, BadReference, "/fit/x/sed", "takes `seed`"),
        ({"batch_size": 0}, BadArgument, "/fit/batch_size", "1 or more"),
        ({"batch_size": 10**6}, TooLarge, "/fit/batch_size", "65,536"),
        ({"nb_epoch": 10**9}, TooLarge, "/fit/nb_epoch", "100,000"),
        ({"nb_epoch": 1, "epochs": 2}, BadArgument, "/fit/epochs", "mean the same"),
        ({"batchsize": 3}, BadArgument, "/fit/batchsize", "Did you mean 'batch_size'"),
        ({"shuffle": "yes"}, BadArgument, "/fit/shuffle", "batch"),
        ({"class_weight": {"a": 1}}, BadArgument, "/fit/class_weight", "object such as"),
        ({"sample_weight": "d/w2"}, ShapeMismatch, "/fit/sample_weight", "temporal"),
        ({"sample_weight": "d/short"}, BadReference, "/fit/sample_weight", "same number"),
        ({"validation_data": "d/x"}, BadReference, "/fit/validation_data", "validation_data"),
        ({"validation_data": {"x": "d/x19", "y": "d/y"}}, ShapeMismatch, "/fit/validation_data/x", "19"),
        ({"validation_split": 0.999}, BadReference, "/fit/validation_split", "leaves"),
        ({"validation_split": 2}, BadArgument, "/fit/validation_split", "0 to 1"),
        ({"callbacks": ["EarlyStoppin"]}, UnknownName, "/fit/callbacks/0/class_name", "EarlyStopping"),
        ({"callbacks": ["EarlyStopping"] * 30}, TooLarge, "/fit/callbacks", "20 callbacks"),
    ],
)  # fmt: skip
def test_s55_s71_s130_a_bad_fit_is_refused_and_pointed_at(fit, error, where, says):
    refused(error, where, says, fit={"x": "d/x", "y": "d/y"} | fit)


def test_s56_inputs_may_be_given_alone_in_a_list_or_by_name():
    for x in ("d/x", ["d/x"], {"dense_1_input": "d/x"}):
        assert plan(x=x).fed_fit.samples == 50


def test_keras_1s_tuple_of_validation_data_is_taken():
    assert plan(validation_data=["d/x", "d/y", "d/w"]).fed_validation.sample_weight is not None


def test_validation_data_wins_over_a_split():
    read = plan(validation_data=["d/x", "d/y"], validation_split=0.5)
    assert (read.fed_fit.samples, read.fed_fit.held_out) == (50, 0)


def test_columns_of_a_table_stand_side_by_side():
    model = sequential(("Dense", {"output_dim": 1, "input_dim": 2}))
    read = plan_of(DATA, model=model, predict={"x": {"dataset": "d", "columns": ["a", "b"]}})
    assert read.fed_predict.x[0].load(lambda _, name: DATA[name]).shape == (50, 2)
    assert read.datasets == ["d"]


def test_a_small_list_may_stand_in_the_job_and_a_large_one_may_not():
    model = sequential(("Dense", {"output_dim": 1, "input_dim": 2}))
    assert plan_of({}, model=model, predict={"x": [[1, 2], [3, 4]]}).fed_predict.samples == 2
    with pytest.raises(TooLarge, match="Upload it"):
        Plan.read({"model": model, "predict": {"x": [[1, 2], [3, 4]]}}, describing({}), Limits(max_inline_values=3))


def test_s57_dummy_data_follows_from_its_seed_alone():
    model = sequential(("Dense", {"output_dim": 1, "input_dim": 2}))

    def drawn(**random: int) -> np.ndarray:
        read = plan_of({}, model=model, predict={"x": {"random": [500, 2], **random}})
        again = plan_of({}, **{key: read.definition[key] for key in ("model", "predict")})
        (source,) = again.fed_predict.x
        assert source.spec(describing({})).dtype == source.load(None).dtype
        return source.load(None)

    real, whole = drawn(), drawn(seed=3, low=2, high=5)
    assert (real.dtype, real.min() >= 0, real.max() < 1) == (np.float32, True, True)
    assert set(np.unique(whole)) == {2, 3, 4}
    np.testing.assert_array_equal(drawn(seed=3), drawn(seed=3))
    assert (drawn(seed=3) != drawn(seed=4)).any()


def test_a_model_that_needs_too_much_memory_is_refused():
    with pytest.raises(TooLarge, match="bytes of memory") as refusal:
        Plan.read({"model": MODEL, "predict": {"x": "d/x"}}, describing(DATA), Limits(max_memory_bytes=100))
    assert refusal.value.where == "/model"


def test_an_epoch_range_that_trains_nothing_is_warned_of():
    assert plan(initial_epoch=10).warnings[0]["pointer"] == "/fit/nb_epoch"


def test_temporal_weights_need_sequences():
    with pytest.raises(ShapeMismatch, match="sequences"):
        plan_of(
            DATA,
            model=MODEL,
            compile=COMPILE | {"sample_weight_mode": "temporal"},
            fit={"x": "d/x", "y": "d/y", "sample_weight": "d/w2"},
        )


def test_every_refusal_carries_a_pointer_that_begins_with_its_part():
    with pytest.raises(EngineError) as refusal:
        plan(callbacks=[{"class_name": "ModelCheckpoint", "config": {"filepath": "../x"}}])
    assert refusal.value.where == "/fit/callbacks/0/config/filepath"
