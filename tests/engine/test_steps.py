"""Steps as strangers write them: what is wrong is told before anything is done, with a pointer."""

import numpy as np
import pytest

from engine.capabilities import capabilities
from engine.errors import DefinitionError
from engine.limits import Limits
from engine.plan import Plan
from engine.steps import STEPS, read_step
from tests.engine.yard import describing, plan_of, sequential

X, Y = [[0.0] * 4] * 2, [[1.0, 0.0, 0.0]] * 2
DATA = {"x": np.zeros((2, 4), np.float32), "y": np.zeros((2, 3), np.float32)}
SOFTMAX = sequential(("Dense", {"output_dim": 3, "input_dim": 4, "activation": "softmax"}))
STATEFUL = sequential(("LSTM", {"output_dim": 3, "stateful": True, "batch_input_shape": [2, 1, 4]}))
COMPILE = {"loss": "categorical_crossentropy", "optimizer": "sgd"}
TRAIN = {"x": X, "y": Y}


def read(step, model=SOFTMAX, compiled=COMPILE, **limits):
    body = {"model": model, "session": {}} | ({"compile": compiled} if compiled else {})
    plan = plan_of(DATA, **body)
    return read_step(step, plan.model, plan.compile, describing(DATA), Limits(**limits))


REFUSED = {
    "no object": ([1], ""),
    "no key": ({}, ""),
    "two keys": ({"train": TRAIN, "close": {}}, ""),
    "an unknown kind": ({"trian": TRAIN}, "/trian"),
    "arguments that are no object": ({"train": 5}, "/train"),
    "an unknown argument": ({"train": TRAIN | {"batch_size": 2}}, "/train/batch_size"),
    "no targets": ({"train": {"x": X}}, "/train/y"),
    "inputs of another width": ({"train": {"x": [[0.0] * 5] * 2, "y": Y}}, "/train/x"),
    "targets of another width": ({"train": {"x": X, "y": [[1.0]] * 2}}, "/train/y"),
    "fewer targets than inputs": ({"train": {"x": X, "y": Y[:1]}}, "/train/y"),
    "a dataset that is not there": ({"train": {"x": "ds_1/z", "y": Y}}, "/train/x"),
    "weights of another length": ({"train": TRAIN | {"sample_weight": [1.0]}}, "/train/sample_weight"),
    "odd weights of classes": ({"train": TRAIN | {"class_weight": {"a": 1}}}, "/train/class_weight"),
    "a batch size of 0": ({"evaluate": TRAIN | {"batch_size": 0}}, "/evaluate/batch_size"),
    "an unknown method": ({"predict": {"x": X, "method": "guess"}}, "/predict/method"),
    "an unknown encoding": ({"predict": {"x": X, "encoding": "hex"}}, "/predict/encoding"),
    "a layer that remembers nothing": ({"reset_states": {"layer": "dense_1"}}, "/reset_states/layer"),
    "a learning rate below 0": ({"set": {"lr": -0.1}}, "/set/lr"),
    "nothing to set": ({"set": {}}, "/set/lr"),
    "a path": ({"save": {"name": "../a.h5"}}, "/save/name"),
    "a name without a format": ({"save": {"name": "weights.txt"}}, "/save/name"),
    "a name that is taken": ({"save": {"name": "states.safetensors"}}, "/save/name"),
    "arguments where none are taken": ({"close": {"now": True}}, "/close/now"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_step_is_refused_and_pointed_at(fault):
    step, where = REFUSED[fault]
    with pytest.raises(DefinitionError) as refusal:
        read(step)
    assert refusal.value.where == where


@pytest.mark.parametrize(
    "step", [{"train": TRAIN}, {"evaluate": TRAIN}, {"set": {"lr": 0.1}}], ids=lambda step: next(iter(step))
)
def test_what_judges_or_learns_needs_a_compiled_model(step):
    with pytest.raises(DefinitionError, match="`compile`") as refusal:
        read(step, compiled=None)
    assert refusal.value.where == f"/{next(iter(step))}"
    assert read({"predict": {"x": X}}, compiled=None).kind == "predict"


def test_a_batch_must_be_as_large_as_a_stateful_model_says():
    three = {"x": [[[0.0] * 4]] * 3, "y": [[1.0, 0.0, 0.0]] * 3}
    with pytest.raises(DefinitionError, match="exactly 2 samples") as refusal:
        read({"train": three}, model=STATEFUL)
    assert refusal.value.where == "/train/x"
    with pytest.raises(DefinitionError) as refusal:
        read({"predict": {"x": three["x"]}}, model=STATEFUL)
    assert refusal.value.where == "/predict/batch_size"


@pytest.mark.parametrize(
    ("step", "limits", "where"),
    [
        ({"train": TRAIN}, {"max_batch_size": 1}, "/train/x"),
        ({"evaluate": TRAIN}, {"max_batch_size": 31}, "/evaluate/batch_size"),
        ({"predict": {"x": X}}, {"max_answer_values": 5}, "/predict/x"),
        ({"train": TRAIN}, {"max_inline_values": 7}, "/train/x"),
    ],
)
def test_a_step_that_is_too_large_is_refused(step, limits, where):
    with pytest.raises(DefinitionError) as refusal:
        read(step, **limits)
    assert refusal.value.where == where


def test_every_kind_of_step_is_told_of():
    assert set(STEPS) == {"train", "evaluate", "predict", "reset_states", "set", "save", "close"}
    assert capabilities()["steps"].keys() == set(STEPS)
    arguments = {each["name"]: each for each in capabilities()["steps"]["predict"]["arguments"]}
    assert arguments["encoding"]["default"] == "list"
    assert all(each["meaning"] for each in arguments.values())


# -- the job ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 86_401, "600", True, None])
def test_a_session_rests_after_a_second_to_a_day(seconds):
    with pytest.raises(DefinitionError, match="1 to 86,400") as refusal:
        plan_of(DATA, model=SOFTMAX, session={"idle_seconds": seconds})
    assert refusal.value.where == "/session/idle_seconds"


@pytest.mark.parametrize("part", ["fit", "evaluate", "predict"])
def test_a_session_takes_no_part_that_is_done_at_once(part):
    data = {"x": "d/x"} | ({} if part == "predict" else {"y": "d/y"})
    with pytest.raises(DefinitionError, match=f"leave out `{part}`, or `session`") as refusal:
        plan_of(DATA, model=SOFTMAX, compile=COMPILE, session={}, **{part: data})
    assert refusal.value.where == f"/{part}"


def test_the_definition_of_a_session_reads_back():
    plan = plan_of(DATA, model=SOFTMAX, session={})
    assert plan.definition["session"] == {"idle_seconds": 600}
    again = Plan.read(plan.definition, describing(DATA))
    assert (again.session, again.definition) == (plan.session, plan.definition)


def test_memory_is_estimated_as_for_a_training():
    compiled = COMPILE | {"optimizer": "adam"}
    session, alone = (plan_of(DATA, model=SOFTMAX, compile=compiled, **part) for part in ({"session": {}}, {}))
    assert session.estimate["memory_bytes"] > 2 * alone.estimate["memory_bytes"]
    assert session.estimate["total_steps"] == 0
