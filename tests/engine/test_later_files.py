"""Weights that real Keras 2 and 3 saved: by position, by name, into a part, and with the optimizer's state."""

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import BadFile
from tests.engine.yard import Notebook, sequential, training

INTEROP = Path(__file__).parent.parent / "interop"
FILES = sorted(
    str(path.relative_to(INTEROP))
    for kind in ("*.h5", "*.keras")
    for path in INTEROP.glob(f"keras[23]/*/{kind}")
    if (path.parent / "model.json").exists()
)
#: What each was trained with: in our words, because the file itself does not always say.
COMPILED = {
    "keras3/trained_mlp/model.keras": ("categorical_crossentropy", "Adam", {"lr": 0.001, "epsilon": 1e-7}),
    "keras3/trained_gru/model.keras": ("mae", "RMSprop", {"lr": 0.001, "epsilon": 1e-7, "epsilon_inside": True}),
    "keras2/trained_mlp/model.h5": ("categorical_crossentropy", "Adam", {"lr": 0.001, "epsilon": 1e-7}),
    "keras2/trained_normalized/model.h5": ("mse", "SGD", {"lr": 0.01}),
}


def arrays(folder):
    with np.load(folder / "data.npz") as file:
        return {name: file[name] for name in file.files}


def predicting(folder, seed=7):
    data = arrays(folder)
    model = json.loads((folder / "model.json").read_text())
    return training(data, seed=seed, model=model, predict={"x": "d/x", "batch_size": len(data["x"])}), data


@pytest.mark.parametrize("file", FILES)
def test_s127_weights_of_later_keras_give_its_predictions(file):
    path = INTEROP / file
    run, data = predicting(path.parent)
    whole_after_training = path.name in ("model.h5", "model.keras") and "trained" in data

    run.load_weights(path)

    wanted = data["trained"] if whole_after_training else data["y"]
    np.testing.assert_allclose(run.predict(Notebook()), wanted, atol=1e-5)


def test_both_ways_to_keep_weights_and_whole_models_of_both_versions_are_among_them():
    assert {file.partition("/")[0] + file[file.rindex("/") :].replace("/model", "") for file in FILES} >= {
        "keras2/weights.h5",
        "keras2.h5",
        "keras3.weights.h5",
        "keras3.keras",
    }


@pytest.mark.parametrize("file", sorted(COMPILED))
def test_training_goes_on_where_later_keras_stopped(file):
    path = INTEROP / file
    data = arrays(path.parent)
    loss, optimizer, config = COMPILED[file]
    run = training(
        data,
        model=json.loads((path.parent / "model.json").read_text()),
        compile={"loss": loss, "optimizer": {"class_name": optimizer, "config": config}},
        fit={"x": "d/x", "y": "d/target", "nb_epoch": 3, "batch_size": len(data["x"]), "shuffle": False},
    )
    run.load_weights(path)
    run.load_optimizer(path)

    run.fit(Notebook())

    later = json.loads((path.parent / "facts.json").read_text())["later_losses"]
    np.testing.assert_allclose(run.history["series"]["loss"], later, rtol=1e-4)


def named(run):
    return [each.layer.name for each in run.plan.model.leaves() if each.weights]


@pytest.mark.parametrize("file", ["keras3/trained_mlp/model.weights.h5", "keras2/trained_mlp/weights.h5"])
def test_by_name_takes_only_the_layers_that_bear_the_name(file):
    path = INTEROP / file
    whole, _ = predicting(path.parent)
    whole.load_weights(path)
    first = whole.plan.model.layers[0]
    data = arrays(path.parent)
    model = sequential(
        ("Dense", {"output_dim": first.output_dim, "input_dim": data["x"].shape[1], "name": named(whole)[0]}),
        ("Dense", {"output_dim": 9, "name": "of_ours"}),
    )
    run = training(data, model=model, predict={"x": "d/x"})
    before = run.weights()

    run.load_weights(path, by_name=True)

    assert (run.weights()[f"{first.name}/W"] == whole.weights()[f"{first.name}/W"]).all()
    assert (run.weights()["of_ours/W"] == before["of_ours/W"]).all()


@pytest.mark.parametrize("file", ["keras3/trained_mlp/model.weights.h5", "keras2/trained_mlp/weights.h5"])
def test_names_that_are_not_there_are_told(file):
    model = sequential(("Dense", {"output_dim": 2, "input_dim": 4, "name": "another"}))
    run = training({"x": np.zeros((1, 4))}, model=model, **PREDICT)
    with pytest.raises(BadFile, match="No layer of the file bears the name"):
        run.load_weights(INTEROP / file, by_name=True)


PREDICT = {"predict": {"x": "d/x"}}


@pytest.mark.parametrize("version", ["keras2", "keras3"])
def test_a_file_of_a_model_can_be_loaded_into_a_part_of_another(version):
    folder = INTEROP / version / "trained_mlp"
    data = arrays(folder)
    inner, _ = predicting(folder)
    file = folder / ("weights.h5" if version == "keras2" else "model.weights.h5")
    inner.load_weights(file)
    nested = inner.plan.model.to_json() | {"name": "part"}
    outer = {"class_name": "Sequential", "config": [nested, {"class_name": "Dense", "config": {"output_dim": 2}}]}
    run = training(data, model=outer, **PREDICT)

    run.load_weights(file, into="part")

    for key, array in inner.weights().items():
        assert (run.weights()[f"part/{key}"] == array).all()


def test_a_file_of_another_model_is_refused_with_what_each_side_has():
    model = sequential(("LSTM", {"output_dim": 2, "input_shape": [3, 4]}))
    run = training({"x": np.zeros((1, 3, 4))}, model=model, **PREDICT)
    with pytest.raises(BadFile, match=r"of Keras 3, holds the layers .*dense, dense_1, .*would be lstm there"):
        run.load_weights(INTEROP / "keras3/trained_mlp/model.weights.h5")
    with pytest.raises(BadFile, match="read as one of Keras 2, holds the weights of 3 layers, but the model has 1"):
        run.load_weights(INTEROP / "keras2/trained_mlp/weights.h5")


def test_a_file_of_a_version_to_come_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    shutil.copy(INTEROP / "keras2/trained_mlp/weights.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "4.0.0"
    run, _ = predicting(INTEROP / "keras2/trained_mlp")
    with pytest.raises(BadFile, match=r"says that Keras '4.0.0' wrote it; files of Keras 1, 2 and 3"):
        run.load_weights(path)


def test_a_file_that_names_no_version_is_told_by_what_its_arrays_are_called(tmp_path):
    path = tmp_path / "weights.h5"
    shutil.copy(INTEROP / "keras2/lstm/weights.h5", path)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
    run, data = predicting(INTEROP / "keras2/lstm")
    run.load_weights(path)
    np.testing.assert_allclose(run.predict(Notebook()), data["y"], atol=1e-5)


def test_names_that_keras_2_cut_into_pieces_are_joined(tmp_path):
    path = tmp_path / "weights.h5"
    shutil.copy(INTEROP / "keras2/trained_mlp/weights.h5", path)
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
    run, data = predicting(INTEROP / "keras2/trained_mlp")
    run.load_weights(path)
    np.testing.assert_allclose(run.predict(Notebook()), data["y"], atol=1e-5)


def test_the_file_of_a_keras_before_1_is_read_by_position(tmp_path):
    model = sequential(
        ("Dense", {"output_dim": 3, "input_dim": 4, "name": "a"}),
        ("Activation", {"activation": "tanh"}),
        ("Dense", {"output_dim": 2}),
    )
    ours, other = (training({"x": np.zeros((1, 4))}, seed=seed, model=model, **PREDICT) for seed in (1, 2))
    weights = list(ours.weights().values())
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["nb_layers"] = 3
        for number, its in enumerate((weights[:2], [], weights[2:])):
            group = file.create_group(f"layer_{number}")
            group.attrs["nb_params"] = len(its)
            for at, array in enumerate(its):
                group.create_dataset(f"param_{at}", data=array)
    other.load_weights(tmp_path / "old.h5")
    assert other.weights_sha256() == ours.weights_sha256()
    with pytest.raises(BadFile, match="wrote no names") as refusal:
        other.load_weights(tmp_path / "old.h5", by_name=True)
    assert refusal.value.where == "/weights/by_name"


def test_the_optimizer_of_a_file_must_be_the_jobs():
    folder = INTEROP / "keras3/trained_mlp"
    data = arrays(folder)
    run = training(
        data,
        model=json.loads((folder / "model.json").read_text()),
        compile={"loss": "mse", "optimizer": "adamax"},
        fit={"x": "d/x", "y": "d/target"},
    )
    with pytest.raises(BadFile, match="optimizer is adam, but the job compiles with Adamax"):
        run.load_optimizer(folder / "model.keras")
    with pytest.raises(BadFile, match="holds the weights of a model alone"):
        run.load_optimizer(folder / "model.weights.h5")


def test_a_keras_archive_may_be_packed_tighter_than_keras_does(tmp_path):
    source = INTEROP / "keras3/trained_mlp/model.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    run, data = predicting(source.parent)
    run.load_weights(tmp_path / "m.keras")
    np.testing.assert_allclose(run.predict(Notebook()), data["trained"], atol=1e-5)
