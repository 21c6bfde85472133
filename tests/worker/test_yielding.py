"""Sessions that have nothing to do, where others wait for the place."""

import json

from core import steps
from core.ids import DEFAULT_PROJECT
from core.steps import Sent
from tests.worker.small import COMPILE, SOFTMAX, arrays, until

ROWS = {name: array.tolist() for name, array in arrays(8).items()}
TRAIN, CLOSE = {"train": {"x": ROWS["x"], "y": ROWS["y"]}}, {"close": {}}


def test_a_session_that_has_nothing_to_do_gives_its_place_to_a_job_that_waits(yard, make_job, sessions, read):
    def send(first, *given):
        sent = [Sent(next(iter(each)), json.dumps(each).encode()) for each in given]
        with sessions.begin() as session:
            steps.append(session, DEFAULT_PROJECT, resting, first, sent)

    resting = make_job({"model": SOFTMAX, "compile": COMPILE, "session": {"idle_seconds": 3600}})
    send(1, TRAIN)
    until(lambda: read(resting).steps_done == 1)
    waiting = make_job()
    until(lambda: read(waiting).state == "succeeded")
    assert (read(resting).state, read(resting).reason) == ("paused", "session_idle")
    send(2, TRAIN, CLOSE)
    until(lambda: read(resting).state == "succeeded")
    assert (read(resting).attempt, read(resting).steps_done) == (2, 3)
