"""The model in an uploaded file: an express job looks into it, and leaves nothing behind."""

import json

from sqlalchemy import select

from core.keys import Keys
from core.tables import Job
from tests.api.conftest import softmax_model

HDF5 = b"\x89HDF\r\n\x1a\n" + b"0" * 100
FOUND = {
    "definition": softmax_model(),
    "compile": {"optimizer": "sgd", "loss": "mse"},
    "optimizer": True,
    "translated": [],
    "warnings": [],
}


def uploaded(client, content=HDF5):
    answer = client.post("/v1/weights", files={"file": ("model.h5", content)})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_runner_tells_what_the_file_holds(client, serve, worker, look, tmp_path):
    def act(claim):
        worker.leave(claim, "saved.json", json.dumps(FOUND).encode(), "json")
        worker.write("finish", claim, "succeeded")

    claims, weights_id = serve(act), uploaded(client)
    answer = client.get(f"/v1/weights/{weights_id}/model")

    assert (answer.status_code, answer.json()) == (200, FOUND)
    assert claims[0].definition == {"inspect": {"id": weights_id}}
    assert look(select(Job.id)) == [], "the express job is gone"
    assert list((tmp_path / "blobs").rglob("saved.json")) == []


def test_a_file_that_holds_no_model_is_the_caller_s_to_mend(client, serve, worker, problem):
    error = {"class": "user_data", "detail": "The file holds weights alone.", "who": "user", "pointer": "/model"}
    serve(lambda claim: worker.write("finish", claim, "failed", error=error))
    assert "alone" in problem(client.get(f"/v1/weights/{uploaded(client)}/model"), 422, "/model")["detail"]


def test_what_no_runner_need_look_into_is_refused_at_once(client, problem, look):
    safetensors = uploaded(client, (2).to_bytes(8, "little") + b"{}")
    assert "alone" in problem(client.get(f"/v1/weights/{safetensors}/model"), 422)["detail"]
    announced = client.post("/v1/weights", json={"format": "hdf5", "bytes": 100}).json()["id"]
    assert problem(client.get(f"/v1/weights/{announced}/model"), 409)["state"] == "awaiting_upload"
    problem(client.get("/v1/weights/wts_none/model"), 404)
    assert look(select(Job.id)) == []


def test_another_project_s_file_is_not_looked_into(client, problem, wiring):
    weights_id = uploaded(client)
    with wiring.sessions.begin() as session:
        _, secret = Keys(session).create("k", "other")
    problem(client.get(f"/v1/weights/{weights_id}/model", headers={"Authorization": f"Bearer {secret}"}), 404)
