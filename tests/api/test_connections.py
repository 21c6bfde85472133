"""A request holds one connection to the database at a time, so that no number of them can lock each other out."""

import pytest
from sqlalchemy import create_engine, event

from core import database


@pytest.fixture
def narrow(client, wiring):
    """Leave the gateway a single connection, which whoever holds it already waits for in vain."""
    before = wiring.sessions.kw["bind"]
    engine = create_engine(before.url, pool_size=1, max_overflow=0, pool_timeout=0.2)
    event.listen(engine, "connect", database._set_up_sqlite)
    event.listen(engine, "begin", database._begin_sqlite)
    wiring.sessions.configure(bind=engine)
    yield client
    wiring.sessions.configure(bind=before)
    engine.dispose()


LISTS = ("", "/events", "/metrics", "/attempts", "/artifacts")


@pytest.mark.parametrize("part", LISTS)
def test_whoever_looks_at_a_job_holds_one_connection(submit, narrow, part):
    assert narrow.get(f"/v1/jobs/{submit()}{part}").status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/models", "/v1/capabilities"])
def test_whoever_lists_holds_one_connection(narrow, path):
    assert narrow.get(path).status_code == 200


def test_whoever_submits_or_asks_what_would_come_of_it_holds_one_connection(job_body, narrow):
    key = {"Idempotency-Key": "one"}
    assert narrow.post("/v1/validations", json=job_body()).status_code == 200
    assert narrow.post("/v1/jobs", json=job_body(), headers=key).status_code == 201
    assert narrow.post("/v1/models", json=job_body()["model"], headers={"Idempotency-Key": "two"}).status_code == 201
