"""Storing models and weights."""

import hashlib
import io
import json
import struct
import zipfile

import pytest
from sqlalchemy import select

from core.tables import StoredModel, WeightsFile
from tests.api.conftest import softmax_model


def test_a_model_is_stored_in_the_keras_1_form(client):
    answer = client.post("/v1/models", json=softmax_model())
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/models/{body['id']}"
    assert body["definition"]["config"][0]["config"]["init"] == "glorot_uniform"
    assert body["parameters"] == {"trainable": 15, "frozen": 0, "total": 15}
    assert body["outputs"][0]["shape"] == [None, 3]
    assert body["translated"] == []
    assert client.get(answer.headers["location"]).json() == body
    assert client.get("/v1/models").json()["items"] == [body]


def test_two_ways_of_writing_one_model_have_one_hash(client):
    short = client.post("/v1/models", json=softmax_model()).json()
    full = client.post("/v1/models", json=short["definition"]).json()
    assert short["sha256"] == full["sha256"]
    assert short["id"] != full["id"]
    other = client.post("/v1/models", json=softmax_model(output_dim=5)).json()
    assert other["sha256"] != short["sha256"]


def test_what_was_translated_is_said_and_kept(client):
    model = softmax_model()
    model["config"].append({"class_name": "Dense", "config": {"output_dim": 2, "input_dim": 99}})
    body = client.post("/v1/models", json=model).json()
    assert [note["pointer"] for note in body["translated"]] == ["/config/1/config"]
    assert client.get(f"/v1/models/{body['id']}").json()["translated"] == body["translated"]


def test_a_wrong_model_is_pointed_at_and_not_stored(client, problem, look):
    problem(client.post("/v1/models", json=softmax_model(output_dim=0)), 422, "/config/0/config/output_dim")
    assert look(select(StoredModel)) == []


def test_models_are_listed_in_pages(client):
    made = [client.post("/v1/models", json=softmax_model()).json()["id"] for _ in range(3)]
    page = client.get("/v1/models", params={"page_size": 2}).json()
    rest = client.get("/v1/models", params={"page_size": 2, "page_token": page["next_page_token"]}).json()
    assert [item["id"] for item in page["items"] + rest["items"]] == made[::-1]


HDF5 = b"\x89HDF\r\n\x1a\n" + b"0" * 100


def safetensors(header, data=b"0" * 8):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + data


KERAS = ("metadata.json", "config.json", "model.weights.h5")


def archive(*names):
    """Write a zip with members of these names; without any, those of a `.keras`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names or KERAS:
            file.writestr(name, b"{}")
    return content.getvalue()


def said(value):
    """Name a test by its words: the bytes of an archive tell the time, and every process must collect the same."""
    return value if isinstance(value, str) else "file"


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (HDF5, "hdf5"),
        (safetensors({"W": ENTRY}), "safetensors"),
        (safetensors({"__metadata__": {}, "W": ENTRY}), "safetensors"),
        (archive(), "keras"),
    ],
    ids=said,
)
def test_weights_are_told_by_their_content(content, format, client):
    answer = client.post("/v1/weights", files={"file": ("anything", content)}, data={"kernels": "theano"})
    body = answer.json()
    assert answer.status_code == 201
    assert body["id"].startswith("wts_")
    assert (body["format"], body["kernels"], body["bytes"]) == (format, "theano", len(content))
    assert body["sha256"] == hashlib.sha256(content).hexdigest()
    assert client.get(f"/v1/weights/{body['id']}").json() == body


def test_kernels_are_tensorflow_s_unless_said_otherwise(client, problem):
    assert client.post("/v1/weights", files={"file": ("w", HDF5)}).json()["kernels"] == "tensorflow"
    answer = client.post("/v1/weights", files={"file": ("w", HDF5)}, data={"kernels": "caffe"})
    problem(answer, 422, "/kernels")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89HDF",
        b"\x80\x04\x95pickle",
        b"PK\x03\x04torch",
        archive("x.npy"),
        archive("archive/data.pkl"),
        archive(*KERAS, "../../evil"),
        archive(*KERAS, "/etc/evil"),
        archive(*KERAS, *(f"assets/{number}" for number in range(2000))),
        archive()[:-30],
        safetensors({"W": {**ENTRY, "data_offsets": [0, 80]}}),
        safetensors({"W": {**ENTRY, "data_offsets": [8, 0]}}),
        safetensors({"W": {**ENTRY, "data_offsets": "ab"}}),
        safetensors({"W": {"dtype": "F32"}}),
        safetensors({"W": 7}),
        safetensors(b"[]"),
        safetensors(b"{" * 100),
        safetensors(b"[" * 100_000),
        struct.pack("<Q", 2**62) + b"{}",
        safetensors({"W": ENTRY})[:-1],
    ],
    ids=said,
)
def test_a_file_that_is_no_weights_file_is_refused(content, client, problem, look, tmp_path):
    problem(client.post("/v1/weights", files={"file": ("w.h5", content)}), 422, "/file")
    assert look(select(WeightsFile)) == []
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
