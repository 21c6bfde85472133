"""A key is used once, whoever races for it; on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from core import idempotency
from core.database import db_now
from core.errors import KeyInFlight, KeyReused
from core.idempotency import Ask, Stored
from core.ids import DEFAULT_PROJECT
from core.tables import Idempotency

ASK = Ask(project_id=DEFAULT_PROJECT, route="POST /v1/jobs", key="k", fingerprint="f")
ANSWER = Stored(status=201, headers={"Location": "/x"}, body={"id": "x"})


@pytest.fixture
def reserve(sessions):
    def reserve(ask=ASK, hold_seconds=60.0, keep_seconds=3_600.0):
        with sessions.begin() as session:
            return idempotency.reserve(session, ask, hold_seconds, keep_seconds)

    return reserve


@pytest.fixture
def complete(sessions):
    def complete(token, answer=ANSWER):
        with sessions.begin() as session:
            idempotency.complete(session, ASK, token, answer)

    return complete


def test_the_second_request_gets_the_first_one_s_answer(reserve, complete):
    complete(reserve())
    assert reserve() == ANSWER


def test_another_body_is_refused_before_and_after_the_answer(reserve, complete):
    token = reserve()
    with pytest.raises(KeyReused, match="another body"):
        reserve(replace(ASK, fingerprint="g"))
    complete(token)
    with pytest.raises(KeyReused):
        reserve(replace(ASK, fingerprint="g"))


@pytest.mark.parametrize("other", [{"project_id": "prj_other"}, {"route": "POST /v1/models"}, {"key": "l"}])
def test_a_key_counts_within_one_project_and_route(other, reserve, complete, other_project):
    complete(reserve())
    assert isinstance(reserve(replace(ASK, **other)), str)


def test_a_request_in_flight_makes_the_second_one_wait(reserve):
    reserve()
    with pytest.raises(KeyInFlight, match="still running"):
        reserve()


def test_a_reservation_that_was_never_kept_is_taken_over(reserve, complete):
    first = reserve(hold_seconds=-1)
    second = reserve()
    assert second != first

    with pytest.raises(KeyInFlight, match="taken over"):
        complete(first)
    complete(second)
    assert reserve() == ANSWER


def test_a_released_key_is_free(reserve, sessions):
    token = reserve()
    with sessions.begin() as session:
        idempotency.release(session, ASK, token)
    assert isinstance(reserve(replace(ASK, fingerprint="g")), str)


def test_only_its_holder_releases_a_key_and_never_an_answer(reserve, complete, sessions):
    token = reserve()
    with sessions.begin() as session:
        idempotency.release(session, ASK, "another token")
    with pytest.raises(KeyInFlight):
        reserve()
    complete(token)
    with sessions.begin() as session:
        idempotency.release(session, ASK, token)
    assert reserve() == ANSWER


def test_an_old_answer_is_forgotten(reserve, complete, sessions, look):
    complete(reserve())
    with sessions.begin() as session:
        session.execute(update(Idempotency).values(created_at=db_now(-7_200)))

    assert isinstance(reserve(), str)

    with sessions.begin() as session:
        session.execute(update(Idempotency).values(created_at=db_now(-7_200)))
        assert idempotency.forget(session, 3_600.0) == 1
    assert look(select(Idempotency)) == []


def test_of_many_requests_with_one_key_exactly_one_does_the_work(reserve):
    start = threading.Barrier(12)

    def ask(_):
        start.wait()
        try:
            return reserve()
        except KeyInFlight:
            return None

    with ThreadPoolExecutor(12) as pool:
        tokens = [token for token in pool.map(ask, range(12)) if token]

    assert len(tokens) == 1
