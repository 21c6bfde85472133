"""Weight files: Keras 1's layout out and in, and what strangers may not send."""

import h5py
import numpy as np
import pytest

from engine.errors import BadFile
from tests.engine.yard import GOLDEN, Golden, sequential, training

MODEL = sequential(
    ("Dense", {"output_dim": 3, "input_dim": 4, "name": "hidden"}),
    ("Activation", {"activation": "tanh"}),
    ("Dense", {"output_dim": 2, "name": "out"}),
)

THREE = {**MODEL, "config": [*MODEL["config"], {"class_name": "Dense", "config": {"output_dim": 2}}]}


def run(seed=1, model=MODEL):
    return training({"x": np.zeros((2, 4), dtype=np.float32)}, seed=seed, model=model, predict={"x": "d/x"})


@pytest.fixture
def weights(tmp_path):
    """A good file of MODEL's weights, as the path to write to and the run they are from."""
    path, source = tmp_path / "weights.h5", run(seed=2)
    source.save_weights(path, "hdf5")
    return path, source


def test_hdf5_has_keras_1s_names_and_order(weights):
    with h5py.File(weights[0]) as file:
        assert file.attrs["layer_names"].tolist() == [b"hidden", b"activation_1", b"out"]
        assert file["hidden"].attrs["weight_names"].tolist() == [b"hidden_W", b"hidden_b"]
        assert file["activation_1"].attrs["weight_names"].tolist() == []
        assert file["out/out_W"].dtype == np.float32


@pytest.mark.parametrize("format", ["hdf5", "safetensors"])
def test_what_is_written_is_read_back_bit_for_bit(format, tmp_path):
    source, target = run(seed=2), run(seed=3)
    source.save_weights(tmp_path / "weights", format)
    target.load_weights(tmp_path / "weights")
    assert target.weights_sha256() == source.weights_sha256()


def test_by_name_takes_only_the_layers_that_bear_the_name(weights):
    other = run(
        seed=4,
        model=sequential(("Dense", {"output_dim": 3, "input_dim": 4, "name": "hidden"}), ("Dense", {"output_dim": 7})),
    )
    before = other.weights()
    other.load_weights(weights[0], by_name=True)
    assert (other.weights()["hidden/W"] == weights[1].weights()["hidden/W"]).all()
    assert (other.weights()["dense_1/W"] == before["dense_1/W"]).all()


def test_a_nested_model_is_one_group_and_can_be_loaded_into(tmp_path):
    golden = Golden("nested_sequential_dense")
    whole = golden.training()
    inner = run_inner = training(golden.data, seed=5, model=golden.model["config"][0], predict={"x": "d/x"})
    run_inner.save_weights(tmp_path / "inner.h5", "hdf5")
    whole.load_weights(tmp_path / "inner.h5", into="sequential_1")
    assert (whole.weights()["sequential_1/dense_2/W"] == inner.weights()["dense_2/W"]).all()
    with h5py.File(golden.folder / "initial.h5") as file:
        assert (whole.weights()["dense_3/W"] == file["dense_3/dense_3_W"][()]).all()


def test_weights_inside_a_whole_saved_model_are_found(weights, tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file, h5py.File(weights[0]) as inner:
        inner.copy(inner["/"], file, "model_weights")
    target = run(seed=3)
    target.load_weights(tmp_path / "model.h5")
    assert target.weights_sha256() == weights[1].weights_sha256()


def damage(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def external_link(file):
    del file["hidden/hidden_W"]
    file["hidden/hidden_W"] = h5py.ExternalLink("/etc/passwd", "x")


def soft_link(file):
    del file["hidden/hidden_W"]
    file["hidden/hidden_W"] = h5py.SoftLink("/out/out_W")


def linked_group(file):
    del file["hidden"]
    file["hidden"] = h5py.ExternalLink("other.h5", "hidden")


def virtual(file):
    del file["hidden/hidden_W"]
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4, 3))
    file["hidden"].create_virtual_dataset("hidden_W", layout)


def external_storage(file):
    del file["hidden/hidden_W"]
    file["hidden"].create_dataset("hidden_W", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def bomb(file):
    del file["hidden/hidden_W"]
    file["hidden"].create_dataset("hidden_W", (10**9, 10**6), "f4", chunks=(100, 100))


def text(file):
    del file["hidden/hidden_W"]
    file["hidden"].create_dataset("hidden_W", data=np.array([[b"a"] * 3] * 4))


def no_names(file):
    del file.attrs["layer_names"]


def fewer(file):
    file["hidden"].attrs["weight_names"] = np.array([b"hidden_W"])


def group_for_array(file):
    del file["hidden/hidden_W"]
    file.create_group("hidden/hidden_W")


def climbing(file):
    file["hidden"].attrs["weight_names"] = np.array([b"../out/out_W", b"hidden_b"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (external_link, "link that leads elsewhere"),
        (soft_link, "link that leads elsewhere"),
        (linked_group, "link that leads elsewhere"),
        (virtual, "another file"),
        (external_storage, "another file"),
        (bomb, "is \\[1000000000, 1000000\\]"),
        (text, "not numbers"),
        (no_names, "no `layer_names`"),
        (fewer, "has 1 arrays"),
        (group_for_array, "not a dataset"),
        (climbing, "link that leads elsewhere"),
    ],
)
def test_a_hostile_or_damaged_hdf5_file_is_refused(weights, change, says):
    damage(weights[0], change)
    target = run(seed=3)
    before = target.weights_sha256()
    with pytest.raises(BadFile, match=says):
        target.load_weights(weights[0])
    assert target.weights_sha256() == before


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_what_is_no_weight_file_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadFile, match="cannot be read"):
        run().load_weights(tmp_path / "file")


def test_weights_of_another_model_are_refused_with_both_shapes(tmp_path):
    with pytest.raises(BadFile, match=r"\[20, 64\].*hidden/W is \[4, 3\]"):
        run(
            model=sequential(
                *[(each["class_name"], each["config"]) for each in MODEL["config"]], ("Dense", {"output_dim": 2})
            )
        ).load_weights(GOLDEN / "mlp_softmax" / "initial.h5")
    with pytest.raises(BadFile, match="3 layers, but the model has 2"):
        run().load_weights(GOLDEN / "mlp_softmax" / "initial.h5")
    with pytest.raises(BadFile, match="bears the name"):
        run().load_weights(GOLDEN / "mlp_softmax" / "initial.h5", by_name=True)
    with pytest.raises(BadFile, match="`into` names 'nobody'"):
        run().load_weights(GOLDEN / "mlp_softmax" / "initial.h5", into="nobody")


def test_safetensors_of_another_model_are_refused(tmp_path):
    other = run(model=sequential(("Dense", {"output_dim": 9, "input_dim": 4, "name": "hidden"})))
    other.save_weights(tmp_path / "other", "safetensors")
    with pytest.raises(BadFile, match=r"hidden/W of the file is not \[4, 3\]"):
        run().load_weights(tmp_path / "other")
    with pytest.raises(BadFile):
        run().load_weights(tmp_path / "other", by_name=True)
