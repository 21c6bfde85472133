"""The compose file's services on real servers: two gateways, two workers, and models trained over HTTP."""

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import httpx
import numpy as np
import pytest

from benchmarks.models import MODELS
from tests.trainyard.yards import is_alive, wait_until
from trainyard.http import Client
from worker.reaper import LOOKED

SAMPLES, EPOCHS = 256, 3
pytestmark = pytest.mark.xdist_group("production")


@pytest.fixture(scope="module")
def clients(yard):
    """One for each gateway."""
    with Client(yard.urls[0], yard.api_key) as one, Client(yard.urls[1], yard.api_key) as other:
        yield one, other


@pytest.fixture(scope="module")
def send(yard):
    """Ask a gateway by hand."""
    with httpx.Client(headers={"Authorization": f"Bearer {yard.api_key}"}, timeout=60) as http:
        yield lambda method, gateway, path, **request: http.request(method, yard.urls[gateway] + path, **request)


def data_of(name):
    return MODELS[name].arrays(np.random.default_rng(0), SAMPLES)


@pytest.fixture(scope="module")
def datasets(clients, tmp_path_factory):
    """The data of the multilayer perceptron, and of the model of two branches, uploaded through the first gateway."""

    def upload(name):
        path = tmp_path_factory.mktemp("data") / f"{name}.npz"
        np.savez(path, **data_of(name))
        return clients[0].upload(path)["id"]

    return {name: upload(name) for name in ("mlp", "branches")}


@pytest.fixture(scope="module")
def trained(clients, datasets):
    """Both models, submitted through one gateway and watched through the other."""
    one, other = clients
    sent = {name: one.jobs.create(MODELS[name].job(dataset, EPOCHS))["id"] for name, dataset in datasets.items()}
    with ThreadPoolExecutor() as pool:
        seen = pool.map(lambda job_id: list(other.watch(job_id)), sent.values())
        return dict(zip(sent, seen, strict=True))


def test_all_that_a_gateway_stands_on_answers(yard, send):
    ready = send("GET", 0, "/readyz").json()
    assert ready == {"status": "ok", "database": "ok", "storage": "ok", "broker": "ok"}


def test_nobody_comes_in_without_a_key(yard):
    assert httpx.get(f"{yard.urls[0]}/v1/jobs").status_code == 401


def test_the_reaper_tells_that_it_is_well(yard, tmp_path):
    kind, check = yard.services["reaper"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"

    def is_well(folder):
        environment = yard.reaper.options["env"] | {"TRAINYARD_DATA_DIR": str(folder)}
        return subprocess.run(["sh", "-c", check], env=environment, stderr=subprocess.DEVNULL).returncode == 0

    looked = tmp_path / LOOKED
    wait_until(lambda: is_well(yard.folder / "reaper"))
    assert not is_well(tmp_path)
    looked.touch()
    assert is_well(tmp_path)
    os.utime(looked, (time.time() - 300,) * 2)
    assert not is_well(tmp_path)


@pytest.mark.parametrize("name", ["mlp", "branches"])
def test_a_model_is_trained_from_end_to_end(name, trained, clients, send, tmp_path):
    job = trained[name][-1]
    assert (job["state"], job["attempt"], job["error"]) == ("succeeded", 1, None)

    history = send("GET", 0, f"/v1/jobs/{job['id']}/metrics").json()
    assert history["epoch"] == list(range(EPOCHS))
    assert all(len(values) == EPOCHS for values in history["series"].values())

    events = send("GET", 0, f"/v1/jobs/{job['id']}/events").json()["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    states = [event["data"]["to"] for event in events if event["type"] == "state"]
    assert states == ["queued", "running", "succeeded"]

    for client in clients:
        weights = next(each for each in client.jobs.artifacts(job["id"])["items"] if each["name"] == "weights.h5")
        path = client.download(job["id"], weights, tmp_path / client.url[-5:])
        with h5py.File(path) as file:
            assert len(file.attrs["layer_names"]) > 0
        assert hashlib.sha256(path.read_bytes()).hexdigest() == weights["sha256"]


def test_trained_weights_predict_through_either_gateway(trained, send):
    x = data_of("mlp")["x"][:5].tolist()
    asked = {"job": trained["mlp"][-1]["id"], "x": x}
    answers = [send("POST", gateway, "/v1/predictions", json=asked) for gateway in (0, 1)]

    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    first, second = (np.array(answer.json()["y"]) for answer in answers)
    assert first.shape == (5, 10)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first.sum(-1), 1, rtol=1e-5)


def test_a_watcher_hears_of_304_from_a_gateway_that_never_saw_the_job(trained, send):
    path = f"/v1/jobs/{trained['mlp'][-1]['id']}"
    tag = send("GET", 0, path).headers["etag"]
    assert send("GET", 1, path, headers={"If-None-Match": tag}).status_code == 304


def test_data_comes_and_weights_go_past_the_gateway(trained, send, tmp_path):
    path = tmp_path / "mlp.npz"
    np.savez(path, **data_of("mlp"))
    content = path.read_bytes()
    described = {
        "name": "direct",
        "format": "npz",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    made = send("POST", 0, "/v1/datasets", json=described)
    assert (made.status_code, made.json()["state"]) == (201, "awaiting_upload"), made.text
    upload = made.json()["upload"]
    put = httpx.request(upload["method"], upload["url"], headers=upload["headers"], content=content)
    assert put.status_code in (200, 201, 204), put.text
    ready = send("POST", 1, f"/v1/datasets/{made.json()['id']}/complete")
    assert (ready.status_code // 100, ready.json()["state"]) == (2, "ready"), ready.text

    sent = send("POST", 1, "/v1/jobs", json=MODELS["mlp"].job(made.json()["id"], 1))
    assert sent.status_code == 201, sent.text
    job_id = trained["mlp"][-1]["id"]
    away = send("GET", 0, f"/v1/jobs/{job_id}/artifacts/weights.h5", follow_redirects=False)
    assert away.status_code == 303
    listed = send("GET", 1, f"/v1/jobs/{job_id}/artifacts").json()["items"]
    promised = next(each["sha256"] for each in listed if each["name"] == "weights.h5")
    assert hashlib.sha256(httpx.get(away.headers["location"]).content).hexdigest() == promised


def test_nothing_outlives_the_yard_not_even_a_frozen_process(tmp_path):
    """Run in a process of its own, which is killed in the middle."""
    program = (
        "import sys, time; from pathlib import Path; from subprocess import Popen;"
        "from tests.servers.guard import guarded\n"
        "with guarded(Path(sys.argv[1])):\n"
        "    asleep = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]\n"
        "    child = Popen(asleep, start_new_session=True)\n"
        "    child.send_signal(19); print(child.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "folder")]
    doomed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = int(doomed.stdout.readline())
    doomed.kill()
    doomed.wait()
    doomed.stdout.close()
    wait_until(lambda: not is_alive(child))
