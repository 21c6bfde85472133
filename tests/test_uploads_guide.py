"""The examples of docs/uploads.md, run as they stand against a gateway and both kinds of storage."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time

import httpx
import numpy as np
import pytest
import uvicorn
from safetensors.numpy import save_file
from sqlalchemy import select

from api.main import create_app
from core.blobs import attempt_key
from core.ids import DEFAULT_PROJECT, new_id
from core.keys import Keys
from core.settings import Settings
from core.tables import Artifact, Dataset, Job, WeightsFile
from core.unit import reading
from tests.guides import ROOT, given
from tests.servers.process import free_ports
from tests.servers.seaweed import ON_S3, s3_url, seaweed, storage_url  # noqa: F401
from trainyard.http import Client

GUIDE = "docs/uploads.md"
PART = 5 * 2**20
NEEDED = [tool for tool in ("bash", "curl", "jq", "split") if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"needs {NEEDED}")


@pytest.fixture
def wiring(gateway):
    return gateway.state.wiring


@pytest.fixture
def gateway(tmp_path, empty_database, storage_url):  # noqa: F811
    shutil.copy(empty_database, tmp_path / "trainyard.db")
    (port,) = free_ports(1)
    settings = Settings(_env_file=None, data_dir=tmp_path, storage_url=storage_url, port=port,
                        upload_multipart_bytes=PART, upload_part_bytes=PART)  # fmt: skip
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield app
    server.should_exit = True
    thread.join()


@pytest.fixture
def environment(wiring):
    with wiring.sessions.begin() as session:
        _, secret = Keys(session).create("guide")
    return {"TRAINYARD_URL": f"http://127.0.0.1:{wiring.settings.port}", "TRAINYARD_API_KEY": secret}


@pytest.fixture
def folder(tmp_path):
    """Where the reader of the guide stands: one small file, one that takes two parts, and weights."""
    folder = tmp_path / "reader"
    folder.mkdir()
    np.savez(folder / "digits.npz", x=np.arange(12.0))
    save_file({"W": np.ones(3, "float32")}, folder / "start.safetensors")
    np.savez(folder / "large.npz", x=np.arange(1_400_000, dtype="float32"))
    return folder


@pytest.fixture
def job(wiring):
    """A job that has left weights."""
    row = Job(id=new_id("job"), project_id=DEFAULT_PROJECT, kind="training", labels={}, definition={}, seed=7)
    row.state = "queued"
    blob = attempt_key(DEFAULT_PROJECT, row.id, 1, "weights.h5")
    size, sha256 = wiring.blobs.put(blob, b"weights")
    left = Artifact(job_id=row.id, name="weights.h5", attempt=1, bytes=size, sha256=sha256, format="hdf5", blob=blob)
    with wiring.sessions.begin() as session:
        session.add(row)
        session.flush()
        session.add(left)
    return row.id


def run(script, folder, **environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def datasets(wiring):
    with reading(wiring.sessions) as session:
        return [(row.name, row.state, wiring.blobs.read(row.blob)) for row in session.scalars(select(Dataset))]


@given(GUIDE, kind="sh", section="In one request")
def test_a_small_file_goes_in_one_request(guide, wiring, environment, folder):
    run(guide.text, folder, **environment)
    assert datasets(wiring) == [("digits", "ready", (folder / "digits.npz").read_bytes())]


@given(GUIDE, kind="sh", section="Past the gateway: announce, send, complete")
def test_a_file_is_announced_sent_and_completed(guide, wiring, environment, folder):
    script = guide.text
    if wiring.bucket is None:
        # As the text says: the URL is the gateway's own, so the key goes with the file.
        script = script.replace("-T digits.npz", '-T digits.npz -H "Authorization: Bearer $TRAINYARD_API_KEY"')
    run(script, folder, **environment)
    assert datasets(wiring) == [("digits", "ready", (folder / "digits.npz").read_bytes())]


@given(GUIDE, kind="json")
def test_the_answer_to_an_announcement_has_the_members_that_the_guide_shows(guide, wiring, environment, folder):
    shown = json.loads(guide.text)
    asked = {"name": "digits", "format": "npz", "bytes": (folder / "digits.npz").stat().st_size}
    headers = {"Authorization": f"Bearer {environment['TRAINYARD_API_KEY']}"}
    answer = httpx.post(f"{environment['TRAINYARD_URL']}/v1/datasets", json=asked, headers=headers).json()

    assert answer["state"] == "awaiting_upload"
    assert set(shown["upload"]) <= set(answer["upload"])
    assert answer["upload"]["method"] == shown["upload"]["method"]
    assert set(answer["upload"]["headers"]) == (set(shown["upload"]["headers"]) if wiring.bucket else set())


@given(GUIDE, kind="sh", section="Weights, the same way")
def test_weights_go_the_same_way(guide, wiring, environment, folder):
    script = guide.text
    if wiring.bucket is None:
        script = script.replace("-T start.", '-H "Authorization: Bearer $TRAINYARD_API_KEY" -T start.')
    run(script, folder, **environment)
    with reading(wiring.sessions) as session:
        (row,) = session.scalars(select(WeightsFile))
    assert (row.name, row.state, row.format) == ("start", "ready", "safetensors")
    assert wiring.blobs.read(row.blob) == (folder / "start.safetensors").read_bytes()


@given(GUIDE, kind="sh", section="In parts")
@pytest.mark.parametrize("storage_url", [pytest.param("s3", marks=ON_S3)], indirect=True)
def test_a_large_file_goes_in_parts(guide, wiring, environment, folder):
    run(guide.text, folder, **environment)
    assert datasets(wiring) == [("large", "ready", (folder / "large.npz").read_bytes())]
    assert sorted(path.name for path in folder.glob("part-*")) == ["part-0001", "part-0002"]


@given(GUIDE, kind="sh", section="Downloads")
def test_results_are_downloaded(guide, environment, folder, job):
    run(guide.text, folder, JOB=job, **environment)
    assert (folder / "weights.h5").read_bytes() == b"weights"


def test_the_client_does_all_of_it_by_itself(wiring, environment, folder, job, monkeypatch):
    monkeypatch.setattr("trainyard.http.ANNOUNCED_BYTES", 1_000)
    for name in environment:
        monkeypatch.setenv(name, environment[name])
    sha256 = hashlib.sha256(b"weights").hexdigest()
    told = []
    with Client() as client:
        for name in ("digits", "large"):
            client.upload(folder / f"{name}.npz", moved=told.append)
        client.download(job, {"name": "weights.h5", "sha256": sha256}, folder)

    assert datasets(wiring) == [(name, "ready", (folder / f"{name}.npz").read_bytes()) for name in ("digits", "large")]
    assert told[-1] == (folder / "large.npz").stat().st_size
    assert (folder / "weights.h5").read_bytes() == b"weights"


def test_the_settings_in_the_guide_are_the_settings_there_are():
    named = set(
        re.findall(r"`TRAINYARD_(STORAGE\w*|UPLOAD\w*|DOWNLOAD\w*|ORPHAN\w*|SWEEP\w*)`", (ROOT / GUIDE).read_text())
    )
    ours = {name.upper() for name in Settings.model_fields}
    assert named == {name for name in ours if name.startswith(("STORAGE", "UPLOAD", "DOWNLOAD", "ORPHAN", "SWEEP"))}


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_the_openapi_document_shows_both_ways(environment):
    answer = httpx.get(f"{environment['TRAINYARD_URL']}/openapi.json").json()
    bodies = answer["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/json", "multipart/form-data"}
