"""Workers that say they look for work."""

import pytest
from sqlalchemy import delete, select, update

from core import workers
from core.database import db_now
from core.tables import Worker


@pytest.fixture
def look_as(sessions):
    with sessions.begin() as session:
        session.execute(delete(Worker))

    def look_as(name, host="here", claimed=None):
        who = workers.Identity(id=name, host=host, pid=1, version="0.1.0", slots=2, gpus=("0", "1"))
        with sessions.begin() as session:
            workers.looked(session, who, claimed)

    return look_as


@pytest.fixture
def alive(sessions):
    def alive(host="here", seconds=30.0):
        with sessions.begin() as session:
            return workers.alive(session, host, seconds)

    return alive


@pytest.fixture
def later(sessions):
    def later(name, seconds):
        with sessions.begin() as session:
            session.execute(update(Worker).where(Worker.id == name).values(looked_at=db_now(-seconds)))

    return later


def test_a_worker_lives_where_and_as_long_as_it_looks(look_as, alive, later):
    look_as("a")
    look_as("b", host="there")
    assert (alive(), alive("there"), alive("nowhere")) == (["a"], ["b"], [])

    later("a", 31)
    assert alive() == []
    look_as("a")
    assert alive() == ["a"]


def test_a_worker_has_one_row_that_says_when_it_last_got_work(look_as, look):
    look_as("a", claimed=None)
    look_as("a", claimed=3.0)
    look_as("a", claimed=None)

    (row,) = look(select(Worker))
    assert (row.slots, row.gpus, row.version) == (2, ["0", "1"], "0.1.0")
    assert row.started_at <= row.looked_at
    assert 2.5 < (row.looked_at - row.claimed_at).total_seconds() < 10


def test_a_worker_that_is_gone_for_a_day_is_forgotten(look_as, look, later, sessions):
    look_as("a")
    look_as("b")
    later("a", 86_401)
    with sessions.begin() as session:
        workers.forget(session)

    assert look(select(Worker.id)) == ["b"]


def test_the_last_look_is_told_even_when_it_is_long_ago(look_as, later, sessions):
    look_as("a")
    later("a", 500)
    with sessions.begin() as session:
        assert workers.last_look(session, "here") is not None
        assert workers.last_look(session, "there") is None
