import shutil

import pytest
from sqlalchemy import select, update

from core import attempts, leases
from core.database import db_now, make_engine, make_sessions
from core.ids import DEFAULT_PROJECT, new_id
from core.jobs import Jobs
from core.tables import Dataset, Job, Project
from tests.core.sessions import change, checkpoint, did, page, rest, send  # noqa: F401
from tests.servers.postgres import clean_postgres, migrated_postgres, postgres_socket  # noqa: F401

WORKER = "worker-1"


@pytest.fixture
def sqlite_url(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "yard.db")
    return f"sqlite:///{tmp_path}/yard.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """The same test on both databases."""
    return request.getfixturevalue({"sqlite": "sqlite_url", "postgres": "clean_postgres"}[request.param])


@pytest.fixture
def sessions(url):
    engine = make_engine(url)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def make_job(sessions):
    def make_job(kind="training", project_id=DEFAULT_PROJECT, datasets=(), **values):
        job = Job(id=new_id("job"), project_id=project_id, kind=kind, labels={}, definition={}, seed=7)
        for name, value in values.items():
            setattr(job, name, value)
        with sessions.begin() as session:
            Jobs(session, project_id).add(job, datasets)
        return job.id

    return make_job


@pytest.fixture
def make_dataset(sessions):
    def make_dataset(project_id=DEFAULT_PROJECT):
        row = Dataset(id=new_id("ds"), project_id=project_id, name="d", format="npz", bytes=1, sha256="0")
        row.state, row.arrays, row.blob = "ready", {}, f"projects/{project_id}/datasets/{row.id}"
        with sessions.begin() as session:
            session.add(row)
        return row.id

    return make_dataset


@pytest.fixture
def other_project(sessions):
    with sessions.begin() as session:
        session.add(Project(id="prj_other", name="other"))
    return "prj_other"


@pytest.fixture
def take(sessions):
    def take(worker=WORKER, kinds=("training",), lease_seconds=30.0):
        with sessions.begin() as session:
            return leases.claim(session, worker, lease_seconds, kinds)

    return take


@pytest.fixture
def write(sessions):
    """Call a fenced write in a transaction of its own."""

    def write(name, job_id, /, *arguments, attempt=1, worker=WORKER, **named):
        with sessions.begin() as session:
            return getattr(leases if hasattr(leases, name) else attempts, name)(
                session, job_id, attempt, worker, *arguments, **named
            )

    return write


@pytest.fixture
def read(look):
    def read(job_id):
        return look(select(Job).where(Job.id == job_id))[0]

    return read


@pytest.fixture
def run_out(sessions):
    """Let a job's lease be over."""

    def run_out(job_id):
        with sessions.begin() as session:
            session.execute(update(Job).where(Job.id == job_id).values(lease_expires_at=db_now(-1)))

    return run_out


@pytest.fixture
def reap(sessions):
    def reap(max_attempts=3, backoff_seconds=0.0):
        """Take what is over; return what waits again."""
        with sessions.begin() as session:
            taken = leases.expire(session, max_attempts, backoff_seconds)
        return [job_id for job_id, state in taken.items() if state == "queued"]

    return reap
