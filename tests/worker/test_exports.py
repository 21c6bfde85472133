"""Trained models in the files of other programs, and weights that came out of such files."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.training import exporting
from tests.engine.yard import GOLDEN
from tests.worker.small import SOFTMAX, training

RESUMED = GOLDEN / "opt_resume_from_model_h5"


def test_a_job_leaves_its_model_for_whatever_program_it_names(run, make_job, dataset, read, blob_of):
    job_id = make_job(training(dataset, nb_epoch=1, exports=["keras1", "keras3", "onnx"]))
    run()

    assert read(job_id).state == "succeeded"
    rows = {row.name: row for row in read(job_id, "artifacts")}
    assert {name: rows[name].format for name in ("model.h5", "model.keras", "model.onnx")} == {
        "model.h5": "hdf5",
        "model.keras": "keras",
        "model.onnx": "onnx",
    }
    assert rows["model.h5"].max_difference == 0.0
    assert 0.0 <= rows["model.keras"].max_difference < 1e-6
    assert 0.0 <= rows["model.onnx"].max_difference < 1e-5
    assert rows["weights.h5"].max_difference is None


def test_without_being_asked_it_leaves_a_file_of_keras_1_alone(run, make_job, dataset, read):
    plain, none = make_job(training(dataset, nb_epoch=1)), make_job(training(dataset, nb_epoch=1, exports=[]))
    run()
    run()
    assert {"model.h5"} == {row.name for row in read(plain, "artifacts")} - {
        row.name for row in read(none, "artifacts")
    }


def test_a_model_that_keras_1_could_not_load_is_not_written_for_it(run, make_job, dataset, read):
    model = {"class_name": "Sequential", "config": [*SOFTMAX["config"]]}
    model["config"][0] = {"class_name": "Dense", "config": {"output_dim": 8, "input_dim": 4, "activation": "selu"}}
    job_id = make_job(training(dataset, nb_epoch=1, model=model))
    run()
    assert read(job_id).state == "succeeded"
    assert "model.h5" not in {row.name for row in read(job_id, "artifacts")}


def test_a_worker_that_cannot_write_onnx_says_so_before_it_trains(run, make_job, dataset, read, monkeypatch):
    monkeypatch.setattr(exporting, "NEEDED", ("onnx", "a_package_that_is_not_there"))
    job_id = make_job(training(dataset, exports=["onnx"]))
    run()
    job = read(job_id)
    assert (job.state, job.reason, job.error["pointer"]) == ("failed", "unavailable", "/exports")
    assert "lacks a_package_that_is_not_there. Install Trainyard with its extra `onnx` there" in job.error["detail"]
    assert job.error["retryable"] is False
    assert read(job_id, "epochs") == []


def test_an_export_that_fails_is_left_out_and_the_job_has_succeeded(run, make_job, dataset, read, monkeypatch):
    def broken(*_):
        raise ValueError("no such thing\nand much more")

    monkeypatch.setitem(exporting.WRITERS, "onnx", broken)
    job_id = make_job(training(dataset, nb_epoch=1, exports=["onnx", "keras1"]))
    run()

    assert read(job_id).state == "succeeded"
    names = {row.name for row in read(job_id, "artifacts")}
    assert "model.onnx" not in names
    assert {"model.h5", "weights.h5", "receipt.json"} <= names
    told = [each.data["detail"] for each in read(job_id, "events", 0, 100) if each.type == "warning"]
    assert told == ["model.onnx could not be written, and is left out: no such thing"]


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_job_goes_on_with_the_optimizer_of_a_model_that_keras_saved(
    run, make_job, make_dataset, make_weights, blob_of, read, optimizer, tmp_path
):
    with np.load(RESUMED / "data.npz") as file:
        arrays = {name: file[name] for name in file.files}
    dataset = make_dataset(x=arrays["x"], y=arrays["y"])
    with h5py.File(RESUMED / "half.h5") as file:
        config = json.loads(file.attrs["training_config"])["optimizer_config"]
    job_id = make_job(
        {
            "model": json.loads((RESUMED / "model.json").read_text()),
            "weights": {"id": make_weights(RESUMED / "half.h5", kernels="theano"), "optimizer": optimizer},
            "compile": {"optimizer": config, "loss": "categorical_crossentropy"},
            "fit": {"x": f"{dataset}/x", "y": f"{dataset}/y", "nb_epoch": 2, "batch_size": 16, "shuffle": False},
        }
    )
    run()

    assert read(job_id).state == "succeeded"
    (tmp_path / "weights.h5").write_bytes(blob_of(job_id, "weights.h5"))
    with h5py.File(tmp_path / "weights.h5") as file:
        close = np.allclose(file["dense_1/dense_1_W"][()], arrays["w_final_0"], rtol=1e-4, atol=1e-6)
    assert close is optimizer


def external_link(file):
    del file["dense_1/dense_1_W"]
    file["dense_1/dense_1_W"] = h5py.ExternalLink("/etc/passwd", "x")


def petabytes(file):
    del file["dense_1/dense_1_W"]
    file["dense_1"].create_dataset("dense_1_W", (10**9, 10**6), "f4", chunks=(100, 100))


@pytest.mark.parametrize("harm", [external_link, petabytes])
def test_a_hostile_file_fails_its_job_and_not_the_worker(
    run, make_job, make_weights, dataset, read, blob_of, harm, tmp_path
):
    first = make_job(training(dataset, nb_epoch=1))
    run()
    path = tmp_path / "weights.h5"
    path.write_bytes(blob_of(first, "weights.h5"))
    with h5py.File(path, "r+") as file:
        harm(file)
    hostile = make_job(training(dataset, weights={"id": make_weights(path)}))
    after = make_job(training(dataset, nb_epoch=1))
    run()
    run()

    job = read(hostile)
    assert (job.state, job.reason) == ("failed", "user_data")
    assert (job.error["who"], job.error["retryable"]) == ("user", False)
    assert read(hostile, "artifacts") == []
    assert read(after).state == "succeeded"


def test_the_weights_of_a_keras_archive_are_a_start(run, make_job, make_dataset, make_weights, read):
    folder = Path(__file__).parent.parent / "interop" / "keras3" / "trained_mlp"
    with np.load(folder / "data.npz") as file:
        dataset = make_dataset(x=file["x"], y=file["target"])
    model = json.loads((folder / "model.json").read_text())
    weights = {"id": make_weights(folder / "model.keras", format="keras")}
    job_id = make_job({"model": model, "weights": weights, "predict": {"x": f"{dataset}/x"}})
    run()
    assert read(job_id).state == "succeeded"
