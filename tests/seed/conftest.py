"""A running yard, and a small client that speaks plain HTTP to it."""

import io
import json
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.trainyard.yards import UpCommand

EXAMPLES = Path(__file__).parent.parent.parent / "examples/sequential"
TERMINAL = ("succeeded", "failed", "cancelled")


class Service:
    """What a client of the REST contract does, in one line each."""

    def __init__(self, url):
        self.http = httpx.Client(base_url=url, timeout=60)

    def upload(self, **arrays):
        """Upload arrays; return the dataset's id."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        answer = self.http.post("/v1/datasets", files={"file": ("data.npz", buffer.getvalue())}, data={"name": "data"})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def submit(self, **job):
        answer = self.http.post("/v1/jobs", json=job)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def ended(self, job_id, seconds=120):
        deadline = time.monotonic() + seconds
        while (job := self.get(f"/v1/jobs/{job_id}"))["state"] not in TERMINAL:
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def run(self, **job):
        """Run a job to its good end."""
        ended = self.ended(self.submit(**job))
        assert ended["state"] == "succeeded", ended
        return ended

    def refused(self, status, pointer, says, path="/v1/jobs", **body):
        """Send what must be refused, and hold the refusal to its form."""
        answer = self.http.post(path, json=body)
        problem = answer.json()
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["errors"][0]["pointer"] == pointer
        assert says in problem["errors"][0]["detail"]

    def get(self, path):
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def model(self, *layers):
        """Store a model of layers; return what the service says of it."""
        return self.told(model_of(*layers))

    def told(self, definition):
        """Store a definition; return what the service says of it."""
        answer = self.http.post("/v1/models", json=definition)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def predict(self, job, x, **options):
        answer = self.http.post("/v1/predictions", json={"job": job, "x": x} | options)
        assert answer.status_code == 200, answer.text
        return np.array(answer.json()["y"])

    def series(self, job):
        return self.get(f"/v1/jobs/{job}/metrics")["series"]

    def digest(self, job, name):
        """Read an artifact's sha256."""
        return next(each["sha256"] for each in self.get(f"/v1/jobs/{job}/artifacts")["items"] if each["name"] == name)

    def weights(self, job):
        """Download a job's weights as arrays by their names in the file."""
        import h5py

        answer = self.http.get(f"/v1/jobs/{job}/artifacts/weights.h5", follow_redirects=True)
        found = {}
        with h5py.File(io.BytesIO(answer.content)) as file:
            file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
        return found


def example(name):
    """Read one of the guide's models as a job."""
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def model_of(*layers):
    return {"class_name": "Sequential", "config": [{"class_name": n, "config": c} for n, c in layers]}


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    up = UpCommand(tmp_path_factory.mktemp("seed") / "data")
    service = Service(up.url)
    with service.http:
        yield service
    up.end()
