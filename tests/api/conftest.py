import io
import os
import shutil
import threading
import time
from contextlib import ExitStack

import httpx
import numpy as np
import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from api.main import create_app
from core import attempts, leases
from core.blobs import attempt_key
from core.database import migrate
from core.settings import Settings
from core.unit import reading
from tests.api.processes import running
from tests.api.sessions import asking, begin_session, do_steps, send_steps  # noqa: F401

DEADLINE_SECONDS = 10.0
HERE = "http://127.0.0.1:8000"


@pytest.fixture
def make_client(tmp_path, empty_database):
    """Open a gateway of its own, with settings of its own."""
    opened = []

    def make_client(base_url=HERE, quiet=False, **values):
        shutil.copy(empty_database, tmp_path / "trainyard.db")
        settings = Settings(_env_file=None, data_dir=tmp_path, **values)
        client = TestClient(create_app(settings), base_url, raise_server_exceptions=not quiet)
        opened.append(client.__enter__())
        return client

    yield make_client
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def environment(tmp_path):
    return {
        **os.environ,
        "TRAINYARD_DATA_DIR": str(tmp_path),
        "TRAINYARD_DATABASE_URL": f"sqlite:///{tmp_path}/yard.db",
    }


@pytest.fixture
def start(environment):
    """Start gateways that share a database and a disk."""
    migrate(environment["TRAINYARD_DATABASE_URL"])
    with ExitStack() as stack:
        yield lambda **values: stack.enter_context(running(environment | values))


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def wiring(client):
    return client.app.state.wiring


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def softmax_model(**dense):
    config = {"output_dim": 3, "input_dim": 4, "activation": "softmax", **dense}
    return {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": config}]}


COMPILE = {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]}


@pytest.fixture
def dataset(client):
    """Twelve samples: `x` of width 4, one-hot `y`, integer `labels`, and `short`, which has fewer."""
    content = npz(
        x=np.arange(48, dtype="float32").reshape(12, 4),
        y=np.eye(3, dtype="float32")[np.arange(12) % 3],
        labels=np.arange(12) % 3,
        short=np.eye(3, dtype="float32")[np.arange(5) % 3],
    )
    answer = client.post("/v1/datasets", files={"file": ("d.npz", content)})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture
def job_body(dataset):
    """A job that is right in everything; tests change one thing."""

    def job_body(**values):
        body = {"model": softmax_model(), "compile": COMPILE, "seed": 7,
                "fit": {"x": f"{dataset}/x", "y": f"{dataset}/y", "nb_epoch": 2}}  # fmt: skip
        return {key: value for key, value in (body | values).items() if value is not None}

    return job_body


@pytest.fixture
def submit(client, job_body):
    def submit(**values):
        answer = client.post("/v1/jobs", json=job_body(**values))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    return submit


@pytest.fixture
def problem():
    """Check that an answer is a problem of the contract's form, and return it."""

    def problem(answer, status, pointer=None):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert {"type", "title", "status", "detail", "instance", "request_id"} <= body.keys()
        assert body["status"] == status
        assert body["request_id"] == answer.headers["x-request-id"]
        assert "Traceback" not in answer.text
        if pointer is not None:
            assert [each.get("pointer", each.get("parameter")) for each in body["errors"]] == [pointer]
        return body

    return problem


@pytest.fixture
def worker(wiring):
    """A worker that does what it is told: it claims, writes and ends attempts, and trains nothing."""

    class Worker:
        name = "worker-1"

        def claim(self, kind="training"):
            with wiring.sessions.begin() as session:
                return leases.claim(session, self.name, 30.0, [kind])

        def write(self, call, claim, /, *arguments, **named):
            with wiring.sessions.begin() as session:
                return getattr(leases if hasattr(leases, call) else attempts, call)(
                    session, claim.job_id, claim.attempt, self.name, *arguments, **named
                )

        def leave(self, claim, name, content, format="npz", **more):
            key = attempt_key(claim.project_id, claim.job_id, claim.attempt, name)
            size, sha256 = wiring.blobs.put(key, content)
            self.write("artifact", claim, name=name, bytes=size, sha256=sha256, format=format, blob=key, **more)

    return Worker()


@pytest.fixture
def send(client):
    """Send a file, or a part of one, as an answer says."""

    def send(request, content):
        # What goes to the gateway goes to it in this process; what goes to the storage goes there.
        by = client if request["url"].startswith(str(client.base_url)) else httpx
        return by.request(request["method"], request["url"], content=content, headers=request["headers"])

    return send


@pytest.fixture
def spooled(tmp_path):
    """List the files that wait in the rooms of gateways."""
    return lambda: list((tmp_path / "spool").glob("*/*"))


@pytest.fixture
def trained(submit, worker):
    """A job that has ended and has left weights."""
    job_id = submit()
    claim = worker.claim()
    worker.leave(claim, "weights.h5", b"\x89HDF\r\n\x1a\n" + b"0" * 100, "hdf5")
    worker.write("finish", claim, "succeeded")
    return job_id


@pytest.fixture
def serve(worker):
    """Do the next express job in a thread: call `act` with its claim."""
    threads, claims = [], []

    def serve(act):
        def run():
            deadline = time.monotonic() + DEADLINE_SECONDS
            while time.monotonic() < deadline:
                if claim := worker.claim("express"):
                    claims.append(claim)
                    act(claim)
                    return
                time.sleep(0.005)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return claims

    yield serve
    for thread in threads:
        thread.join()


@pytest.fixture
def answers(serve, worker):
    def answers(y):
        def act(claim):
            worker.leave(claim, "predictions.npz", npz(y=y))
            worker.write("finish", claim, "succeeded")

        return serve(act)

    return answers


@pytest.fixture
def queries(wiring):
    """What the database is asked."""
    asked = []
    engine = wiring.sessions.kw["bind"]

    def note(connection, cursor, statement, *rest):
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def look(wiring):
    def look(query):
        with reading(wiring.sessions) as session:
            return session.scalars(query).all()

    return look
