"""Arguments, their defaults and how they are written: as Keras 1.2.2 itself wrote them, one layer of each class."""

import json
from typing import Any

import numpy as np
import pytest

from engine.arguments import required
from engine.constraints import CONSTRAINTS
from engine.layer import LAYERS
from engine.optimizers import OPTIMIZERS
from engine.regularizers import REGULARIZERS
from tests.engine.yard import GOLDEN

CONFIGS: dict[str, Any] = json.loads((GOLDEN / "default_configs/history.json").read_text())["configs"]
KERAS_1S = sorted(name for name in CONFIGS if name in LAYERS and not LAYERS[name].holds)
OPTIMIZERS_1 = sorted(name.removeprefix("optimizer ") for name in CONFIGS if name.startswith("optimizer "))
#: What the record's layers were told beside their name and what they must be told.
TOLD = {"batch_input_shape", "input_dtype", "input_dim", "dim_ordering"}


def as_float32(value: Any) -> Any:
    """Round as Keras 1 does where it reads a number back from its backend."""
    return float(np.float32(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("name", KERAS_1S)
def test_a_config_of_keras_1_is_read_and_written_as_it_was(name):
    written = LAYERS[name].from_config(CONFIGS[name]).get_config()

    if "dim_ordering" not in CONFIGS[name]:  # Keras 1 forgets to write some layers'
        written.pop("dim_ordering", None)
    assert written == CONFIGS[name]


@pytest.mark.parametrize("name", KERAS_1S)
def test_an_argument_left_out_has_keras_1s_default(name):
    needed = {*required(LAYERS[name]), "output_shape"} & set(CONFIGS[name])
    written = LAYERS[name].from_config({key: CONFIGS[name][key] for key in needed}).get_config()

    for key, value in CONFIGS[name].items():
        if key not in TOLD | {"name"}:
            assert as_float32(written[key]) == as_float32(value), key


@pytest.mark.parametrize("name", OPTIMIZERS_1)
def test_an_optimizer_has_keras_1s_defaults(name):
    written = OPTIMIZERS[name]().get_config()
    theirs = CONFIGS[f"optimizer {name}"]

    assert {key: as_float32(written[key]) for key in theirs} == {key: as_float32(each) for key, each in theirs.items()}


@pytest.mark.parametrize("config", CONFIGS["constraints"], ids=lambda each: each["name"])
def test_a_constraint_is_read_with_keras_1s_arguments(config):
    rest = {key: value for key, value in config.items() if key != "name"}
    assert CONSTRAINTS[config["name"]].from_config(rest).get_config().items() >= rest.items()


def test_there_is_a_record_of_every_kind():
    assert len(KERAS_1S) >= 40
    assert len(OPTIMIZERS_1) == 7
    assert {each["name"] for each in CONFIGS["regularizers"]} <= {*REGULARIZERS, "L1L2Regularizer"}
