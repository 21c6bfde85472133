import itertools
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from core.errors import LostLease
from tests.worker.small import training
from worker.attempt import Attempt
from worker.patience import Patience


def away():
    return OperationalError("SELECT", {}, Exception("gone"))


@pytest.fixture
def flickering(sessions):
    """While it lasts, the database refuses those transactions that it is told to."""

    @contextmanager
    def flickering(refuses):
        def begin(connection):
            if next(refuses):
                raise away()

        event.listen(sessions.kw["bind"], "begin", begin)
        yield
        event.remove(sessions.kw["bind"], "begin", begin)

    return flickering


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_database_that_is_away_for_a_moment_is_asked_again(sessions, flickering, way):
    with flickering(iter([True, True, False])):
        assert getattr(Patience(sessions, 10.0), way)(lambda session: session.scalar(text("SELECT 7"))) == 7


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_database_that_stays_away_costs_the_lease(sessions, flickering, way):
    with flickering(iter([True])), pytest.raises(LostLease, match="away"):
        getattr(Patience(sessions, -1.0), way)(lambda session: session.scalar(text("SELECT 7")))


def test_a_question_that_is_wrong_is_not_asked_again(sessions):
    asked = []

    def act(session):
        asked.append(session)
        raise ProgrammingError("SELECT", {}, Exception("no such column"))

    with pytest.raises(ProgrammingError):
        Patience(sessions, 10.0).write(act)
    assert len(asked) == 1


def test_an_attempt_waits_for_its_database_whatever_it_asks(
    run, assign, make_job, tools, dataset, read, flickering, monkeypatch
):
    monkeypatch.setattr("worker.patience._AGAIN_SECONDS", 0.0)
    before = make_job(training(dataset))
    assert run() == "succeeded"
    job_id = make_job(training(dataset, weights={"job": before, "optimizer": True}))
    attempt = Attempt(assign(), tools, threading.Event(), lambda *words: None)

    with flickering(itertools.cycle([True, False])):
        assert attempt.run() == "succeeded"
    assert read(job_id).state == "succeeded"
