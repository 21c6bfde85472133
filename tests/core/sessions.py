"""Sessions in a database: what clients send, and what attempts record."""

import pytest

from core import stepping, steps
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.stepping import Did
from core.steps import Sent


def sent(*kinds, datasets=()):
    return [Sent(kind.partition(":")[0], f'{{"{kind}":{{}}}}'.encode(), frozenset(datasets)) for kind in kinds]


@pytest.fixture
def send(sessions):
    def send(job_id, first, *kinds, project=DEFAULT_PROJECT, datasets=()):
        with sessions.begin() as session:
            return steps.append(session, project, job_id, first, sent(*kinds, datasets=datasets))

    return send


@pytest.fixture
def did(sessions):
    """Record that steps up to a number are done."""

    def did(job_id, *numbers, attempt=1, worker="worker-1", error=None):
        with sessions.begin() as session:
            done = [Did(number, None if error else {"n": number}, error) for number in numbers]
            return stepping.did(session, job_id, attempt, worker, done)

    return did


@pytest.fixture
def page(sessions):
    def page(job_id, after=0, limit=100):
        with sessions.begin() as session:
            return steps.pages(session, [(job_id, after, limit)])[job_id, after, limit]

    return page


@pytest.fixture
def checkpoint(write):
    """Keep a checkpoint that covers the steps up to a number."""

    def checkpoint(job_id, number, keep=1, attempt=1):
        told = {"epoch": 0, "blob": f"b{attempt}-{number}", "bytes": 1, "sha256": "0", "keep": keep}
        return write("checkpointed", job_id, attempt=attempt, step=number, **told)

    return checkpoint


@pytest.fixture
def change(sessions):
    def change(verb, job_id):
        with sessions.begin() as session:
            return getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id)

    return change


@pytest.fixture
def rest(write):
    """End an attempt as one that has had nothing to do."""
    return lambda job_id, attempt=1: write("finish", job_id, "paused", reason="session_idle", attempt=attempt)
