"""Sessions over HTTP: clients that send steps and wait, and a worker that does as it is told."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from core import stepping
from core.stepping import Did
from tests.trainyard.yards import wait_until

DEADLINE_SECONDS = 30.0
until = partial(wait_until, seconds=DEADLINE_SECONDS)
COMPILE = {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
DENSE = {"class_name": "Dense", "config": {"output_dim": 3, "input_dim": 4, "activation": "softmax"}}
SESSION = {"model": {"class_name": "Sequential", "config": [DENSE]}, "compile": COMPILE, "session": {}}
NOW = {"Prefer": "wait=0"}
X, Y = [[0.0] * 4] * 2, [[1.0, 0.0, 0.0]] * 2
TRAIN = {"train": {"x": X, "y": Y}}


@pytest.fixture
def begin_session(client):
    """Submit a session."""

    def begin_session(**values):
        body = SESSION | values
        answer = client.post("/v1/jobs", json={key: value for key, value in body.items() if value is not None})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    return begin_session


@pytest.fixture
def send_steps(client):
    def send_steps(job_id, first, *steps, **headers):
        return client.post(f"/v1/jobs/{job_id}/steps", json={"first": first, "steps": steps}, headers=headers or NOW)

    return send_steps


@pytest.fixture
def do_steps(wiring):
    """Record, as a worker, what came of some steps."""

    def do_steps(claim, *numbers, result=None, error=None):
        with wiring.sessions.begin() as session:
            done = [Did(number, None if error else result or {"loss": number / 2}, error) for number in numbers]
            stepping.did(session, claim.job_id, claim.attempt, "worker-1", done)

    return do_steps


@pytest.fixture
def asking(client, wiring):
    """Ask in a thread, and return once the gateway holds the answer back."""
    with ThreadPoolExecutor(16) as pool:

        def asking(method, path, **asked):
            before = wiring.watch.taken["wait"]
            answer = pool.submit(client.request, method, path, **asked)
            until(lambda: wiring.watch.taken["wait"] > before)
            return answer

        yield asking
