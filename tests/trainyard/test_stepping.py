"""The numbers of steps, which keep each to one effect however requests and answers are lost."""

import hashlib
import json

import httpx
import numpy as np
import pytest

from trainyard import tensors
from trainyard.errors import JobCancelled, JobFailed, Refused, StepFailed
from trainyard.http import Client
from trainyard.stepping import Stepping


class Sessions:
    """The service's side of one session, where a step is done when it is asked for after it was sent.

    `losing` holds what becomes of the answers to the next requests of steps: an error instead of each.
    """

    def __init__(self, tmp_path):
        self.steps, self.done, self.state, self.losing, self.requests = [], [], "running", [], []
        self.oldest = 1
        self.weights = tmp_path / "weights.safetensors"

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        if request.url.path.endswith("/steps"):
            answer = self._take(request) if request.method == "POST" else self._tell(request)
            if self.losing:
                raise self.losing.pop(0)
            return answer
        if request.url.path.endswith("/artifacts"):
            return httpx.Response(200, json={"items": [self._artifact()]})
        if "/artifacts/" in request.url.path:
            return httpx.Response(200, content=self.weights.read_bytes())
        return httpx.Response(200, json={"id": "job_1", "state": self.state, "error": None})

    def _artifact(self):
        return {"name": "now.safetensors", "sha256": hashlib.sha256(self.weights.read_bytes()).hexdigest()}

    def _take(self, request):
        body = json.loads(request.content)
        first, sent = body["first"], body["steps"]
        known = self.steps[first - 1 : first - 1 + len(sent)]
        if self.state != "running" or first > len(self.steps) + 1 or known != sent[: len(known)]:
            return httpx.Response(409, json={"title": "Out of step", "next": len(self.steps) + 1})
        self.steps += sent[len(known) :]
        if "wait=25" in request.headers["Prefer"]:
            self._work()
        return self._answer(first - 1, len(sent))

    def _tell(self, request):
        if "Prefer" in request.headers:
            self._work()
        after = int(request.url.params["after"])
        if after < self.oldest - 1:
            return httpx.Response(410, json={"title": "Gone", "oldest": self.oldest})
        return self._answer(after, int(request.url.params["limit"]))

    def _work(self):
        for step in self.steps[len(self.done) :]:
            self.done.append(step)
            if "close" in step:
                self.state = "succeeded"

    def _answer(self, after, limit):
        items = [self._item(number, step) for number, step in enumerate(self.steps, 1)][after : after + limit]
        body = {"job": "job_1", "state": self.state, "next": len(self.steps) + 1, "steps": items}
        return httpx.Response(200, json=body)

    def _item(self, number, step):
        if number > len(self.done):
            return {"number": number, "state": "waiting", "result": None, "error": None}
        if "train" in step and step["train"] == {"x": "bad"}:
            error = {"class": "user_data", "detail": "no such class", "pointer": "/train/y"}
            return {"number": number, "state": "failed", "result": None, "error": error}
        results = {"save": {"artifact": "now.safetensors"}}
        return {
            "number": number,
            "state": "done",
            "result": results.get(next(iter(step)), {"loss": number}),
            "error": None,
        }


TRAIN, BAD = {"train": {"x": "good"}}, {"train": {"x": "bad"}}


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr("trainyard.asking._PAUSE_SECONDS", 0.0)
    return Sessions(tmp_path)


@pytest.fixture
def stepping(service):
    with Client("http://there:1", transport=httpx.MockTransport(service)) as client:
        yield Stepping(client, "job_1")


def test_a_step_is_one_request_that_waits_for_its_result(service, stepping):
    assert [stepping.do(TRAIN)["loss"] for _ in range(3)] == [1, 2, 3]
    assert len(service.requests) == 3
    assert not any("Idempotency-Key" in request.headers for request in service.requests)


def test_steps_are_sent_ahead_and_their_results_asked_for_later(service, stepping):
    numbers = [*stepping.send([TRAIN, TRAIN]), *stepping.send([TRAIN])]
    assert (numbers, service.done) == ([1, 2, 3], [])
    assert [stepping.result(number)["loss"] for number in numbers] == [1, 2, 3]
    assert len(service.requests) == 3


@pytest.mark.parametrize("lost", [httpx.ReadError("gone"), httpx.RemoteProtocolError("cut")])
def test_a_step_whose_answer_was_lost_is_sent_again_and_done_once(service, stepping, lost):
    service.losing = [lost, lost]
    assert stepping.do(TRAIN) == {"loss": 1}
    assert (len(service.requests), len(service.done)) == (3, 1)


def test_who_is_interrupted_goes_on_after_whatever_had_arrived(service, stepping):
    service.losing = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        stepping.do(TRAIN)
    assert stepping.do(TRAIN) == {"loss": 2}
    assert service.done == [TRAIN, TRAIN]


def test_a_step_that_fails_says_why_and_the_next_one_is_done(stepping):
    with pytest.raises(StepFailed, match="Step 1 of job_1 failed: user_data at /train/y: no such class") as failure:
        stepping.do(BAD)
    assert failure.value.step["number"] == 1
    assert stepping.do(TRAIN) == {"loss": 2}


def test_who_finds_that_another_has_sent_steps_is_told_and_goes_on_after_them(service, stepping):
    service.steps.append({"evaluate": {}})
    with pytest.raises(Refused, match="Out of step"):
        stepping.do(TRAIN)
    assert stepping.do(TRAIN) == {"loss": 2}


@pytest.mark.parametrize(("state", "error"), [("failed", JobFailed), ("cancelled", JobCancelled)])
def test_a_session_that_ended_badly_is_lost(service, stepping, state, error):
    lost = []
    stepping.lost = lambda: lost.append(True)
    stepping.do(TRAIN)
    service.state = state
    with pytest.raises(error):
        stepping.do(TRAIN)
    assert (stepping.ended, lost) == (True, [True])


def test_one_that_ends_badly_while_a_result_is_awaited_is_lost_too(service, stepping):
    (number,) = stepping.send([TRAIN])
    service.state = "failed"
    with pytest.raises(JobFailed):
        stepping.result(number)
    assert stepping.ended


def test_closing_waits_for_the_end_and_does_nothing_twice(service, stepping):
    stepping.do(TRAIN)
    service.losing = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        stepping.close()
    service._work()
    stepping.close()
    assert (service.done, service.state, stepping.ended) == ([TRAIN, {"close": {}}], "succeeded", True)
    asked = len(service.requests)
    stepping.close()
    assert len(service.requests) == asked


def test_one_that_a_person_has_paused_is_not_waited_for(service, stepping):
    service.state = "paused"
    with pytest.raises(Refused):
        stepping.close()
    assert not stepping.ended


def test_one_that_is_come_back_to_asks_for_its_next_number(service, stepping):
    stepping.do(TRAIN)
    assert Stepping(stepping.client, "job_1", next=None).do(TRAIN) == {"loss": 2}


def test_one_whose_first_steps_are_no_longer_kept_is_come_back_to_as_well(service, stepping):
    for _ in range(3):
        stepping.do(TRAIN)
    service.oldest = 3
    assert Stepping(stepping.client, "job_1", next=None).do(TRAIN) == {"loss": 4}


def test_weights_are_fetched_once_until_they_change(service, stepping):
    for value in (1, 2):
        tensors.write(service.weights, {"dense/W": np.full((2, 2), value)})
        stepping.do(TRAIN)
        assert (stepping.weights()["dense/W"] == value).all()
        assert stepping.weights() is stepping.weights()
    assert service.done == [TRAIN, {"save": {"name": "now.safetensors"}}] * 2
