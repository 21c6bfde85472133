"""Migrations go up, down and up again, and end where the tables are."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from core.database import alembic_config, make_engine, make_sessions, migrate
from core.ids import DEFAULT_PROJECT, new_id
from core.jobs import Jobs
from core.steps import Sent, append
from core.tables import Base, Job
from tests.servers.postgres import make_postgres, postgres_socket  # noqa: F401

WEIGHTS = f"""
    INSERT INTO weights (id, project_id, bytes, sha256, state, format, kernels, blob, created_at)
    VALUES ('wts_1', '{DEFAULT_PROJECT}', 1, '', 'ready', 'hdf5', 'tensorflow', 'b', CURRENT_TIMESTAMP)
"""
JOB = f"""
    INSERT INTO jobs (id, project_id, kind, labels, state, attempt, definition, seed, version, last_event, created_at,
        finished_at, updated_at)
    VALUES (:id, '{DEFAULT_PROJECT}', 'training', '{{}}', :state, 0, :definition, 7, 1, 0, CURRENT_TIMESTAMP, :at,
        CURRENT_TIMESTAMP)
"""
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/yard.db"
    return request.getfixturevalue("make_postgres")()


@pytest.fixture
def engine(url):
    engine = make_engine(url)
    yield engine
    engine.dispose()


def tables(engine):
    return set(inspect(engine).get_table_names())


def test_migrations_go_up_and_down_and_up_again(url, engine):
    migrate(url)
    assert tables(engine) == {*Base.metadata.tables, "alembic_version"}

    command.downgrade(alembic_config(url), "base")
    assert tables(engine) == {"alembic_version"}

    migrate(url)
    assert tables(engine) == {*Base.metadata.tables, "alembic_version"}


def test_migrations_end_where_the_tables_are(url, engine):
    migrate(url)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(url, engine):
    migrate(url)
    migrate(url)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM projects")) == 1


def test_two_processes_may_migrate_at_once(url):
    program = "import sys; from core.database import migrate; migrate(sys.argv[1])"

    def run(_):
        return subprocess.run([sys.executable, "-c", program, url], cwd=ROOT, capture_output=True, text=True)

    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(run, range(2)))

    assert [(each.returncode, each.stderr) for each in ended] == [(0, ""), (0, "")]


def test_live_jobs_keep_the_weights_that_they_started_from_before_a_table_said_so(url, engine):
    command.upgrade(alembic_config(url), "0007")
    with engine.begin() as connection:
        connection.execute(text(WEIGHTS))
        for job_id, state, finished_at, definition in (
            ("job_live", "paused", None, {"weights": {"id": "wts_1"}}),
            ("job_over", "failed", "2026-01-01", {"weights": {"id": "wts_1"}}),
            ("job_goes_on", "queued", None, {"weights": {"job": "job_over"}}),
            ("job_anew", "queued", None, {}),
        ):
            values = {"id": job_id, "state": state, "at": finished_at, "definition": json.dumps(definition)}
            connection.execute(text(JOB), values)

    migrate(url)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT job_id, weights_id FROM job_weights")).all() == [("job_live", "wts_1")]


def test_jobs_that_wait_keep_their_place_when_it_gets_a_column_of_its_own(url, engine):
    command.upgrade(alembic_config(url), "0009")
    with engine.begin() as connection:
        connection.execute(text(JOB), {"id": "job_1", "state": "queued", "at": None, "definition": "{}"})

    migrate(url)

    with engine.connect() as connection:
        made, queued = connection.execute(text("SELECT created_at, queued_at FROM jobs")).one()
    assert made == queued


def test_alembic_itself_reads_the_settings(tmp_path):
    url = f"sqlite:///{tmp_path}/yard.db"
    environment = {**os.environ, "TRAINYARD_DATABASE_URL": url}

    for arguments in (["upgrade", "head"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    engine = make_engine(url)
    assert "jobs" in tables(engine)
    engine.dispose()


def test_an_older_worker_is_left_no_session_that_it_would_take_for_a_job_with_nothing_to_do(url, engine):
    migrate(url)
    sessions = make_sessions(engine)
    job = Job(id=new_id("job"), project_id=DEFAULT_PROJECT, kind="training", labels={}, definition={}, seed=7)
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).add(job)
        append(session, DEFAULT_PROJECT, job.id, 1, [Sent("train", b"{}")])
    engine.dispose()

    command.downgrade(alembic_config(url), "0007")

    with engine.connect() as connection:
        state, finished = connection.execute(text("SELECT state, finished_at FROM jobs")).one()
    assert (state, finished is None) == ("cancelled", False)
