"""What the service says of itself is told by the classes, and every class tells enough."""

import json
import subprocess
import sys

import pytest

from engine.arguments import Description, kinds
from engine.callbacks import CALLBACKS
from engine.capabilities import argument_meanings, capabilities
from engine.constraints import CONSTRAINTS
from engine.layer import LAYERS
from engine.methods import Evaluate, Fit, Predict
from engine.optimizers import OPTIMIZERS

CLASSES: list[type[Description]] = [
    *(registry[name] for registry in (LAYERS, OPTIMIZERS, CONSTRAINTS, CALLBACKS) for name in registry),
    Fit,
    Evaluate,
    Predict,
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_argument_is_documented(cls):
    documented = argument_meanings(cls)
    assert [each for each in kinds(cls) if each not in documented] == []
    assert cls.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_says_its_shapes(name):
    assert "Shape:" in LAYERS[name].__doc__
    if LAYERS[name].weights is not LAYERS["Activation"].weights:
        assert "Weights:" in LAYERS[name].__doc__


def test_a_layer_is_described_with_its_arguments_in_keras_1s_order():
    dense = capabilities()["layers"]["Dense"]
    names = [each["name"] for each in dense["arguments"]]
    assert names[:3] == ["output_dim", "init", "activation"]
    assert dense["arguments"][0] == {
        "name": "output_dim",
        "takes": "an integer of 1 or more",
        "required": True,
        "meaning": "Width of the output.",
    }
    assert dense["arguments"][1]["default"] == "glorot_uniform"
    assert dense["meaning"].startswith("Fully connected")


def test_capabilities_are_json_and_name_aliases():
    told = json.loads(json.dumps(capabilities(), allow_nan=False))
    assert told["losses"]["mean_squared_error"]["aliases"] == ["MSE", "mse"]
    assert told["metrics"]["accuracy"]["aliases"] == ["acc"]
    acting = {"CSVLogger", "EarlyStopping", "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau"}
    assert set(told["callbacks"]) == acting | {"TensorBoard", "BaseLogger", "History", "ProgbarLogger"}


def test_capabilities_tell_what_preprocessing_and_augmentation_take():
    told = capabilities()
    described = [*told["preprocessing"].values(), told["augmentation"]]
    assert set(told["preprocessing"]) == {"pad_sequences", "sequences_to_matrix", "array"}
    assert [each["name"] for each in told["augmentation"]["arguments"]][:2] == [
        "featurewise_center",
        "samplewise_center",
    ]
    assert all(argument["meaning"] for each in described for argument in each["arguments"])


def test_capabilities_name_the_layers_of_later_keras_that_are_read_and_those_that_are_not():
    told = capabilities()["later_keras"]
    assert told["layers"]["Conv2DTranspose"] == "Deconvolution2D"
    assert set(told["layers"].values()) <= set(LAYERS)
    assert "BatchNormalization" in told["refused"]["LayerNormalization"]
    assert not set(told["refused"]) & set(told["layers"])


def test_capabilities_name_what_a_custom_loss_may_call():
    assert capabilities()["backend"]["mean"] == ["x", "axis", "keepdims"]
    assert capabilities()["backend"]["epsilon"] == []


def test_describing_and_checking_needs_no_torch():
    code = (
        "import sys, engine.plan, engine.capabilities; engine.capabilities.capabilities(); "
        "engine.plan.Plan.read({'model': {'class_name': 'Sequential', 'config': [{'class_name': 'Dense', 'config': "
        "{'output_dim': 1, 'input_dim': 2}}]}, 'predict': {'x': [[1, 2]]}}, None); "
        "sys.exit('torch' in sys.modules or 'h5py' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
