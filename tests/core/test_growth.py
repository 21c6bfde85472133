"""Many jobs that have ended slow nothing down: whatever is asked often finds its rows by an index."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from core import housekeeping, leases, looks
from core.counts import count
from core.database import migrate, open_sessions
from core.datasets import Datasets
from core.jobs import Filters, Jobs
from core.pages import Cursor
from core.tables import Dataset
from core.unit import reading
from tests.core.crowd import fill

NEW = datetime(2025, 12, 31, tzinfo=UTC)
PAGE = "ix_jobs_page"
STATES = "ix_jobs_state_page"
QUEUE = "ix_jobs_queue"
DATASET = "ds_old"
LABELS = "ix_job_labels_page"


def listing(after=None, **filters):
    return lambda session: Jobs(session, "prj_default").page(Filters(**filters), 50, after)


QUERIES = {
    "the first page": (listing(), {PAGE}),
    "a later page": (listing(Cursor(NEW, "job_x")), {PAGE}),
    "jobs since a moment": (listing(created_after=NEW), {PAGE}),
    "jobs in a rare state": (listing(states=["running"]), {STATES, QUEUE}),
    "jobs in some states": (listing(states=["running", "queued", "failed"]), {STATES, QUEUE}),
    "a later page of a state": (listing(Cursor(NEW, "job_x"), states=["succeeded"]), {STATES, QUEUE}),
    "jobs with a label": (listing(labels={"team": "rare"}), {LABELS}),
    "a later page of a label": (listing(Cursor(NEW, "job_x"), labels={"team": "rare"}), {LABELS}),
    "a claim": (lambda session: leases.claim(session, "w", 30.0, ["training"]), {QUEUE}),
    "a claim in the express lane": (lambda session: leases.claim(session, "w", 30.0, ["express"]), {QUEUE}),
    "leases that are over": (lambda session: leases.expire(session, 3, 1.0), {QUEUE}),
    "bells that were lost": (leases.waiting, {QUEUE}),
    "the sweep": (lambda session: housekeeping.sweep(session, 86_400.0), {QUEUE}),
    "the operator's counts": (count, {QUEUE, "ix_attempts_ended_at"}),
    "whether a dataset is needed": (lambda session: Datasets(session, "prj_default")._live_job(DATASET), {QUEUE}),
    "a look": (lambda session: looks.marks(session, ["job_x", "job_y"]), {"pk_jobs", "sqlite_autoindex_jobs_1"}),
    "a look at events": (lambda session: looks.events(session, [("job_x", 3)]), {"pk_events", "sqlite_autoindex_ev"}),
}  # fmt: skip


@pytest.fixture
def crowded(sessions):
    """Five thousand jobs that have ended beside a few that have not."""
    with sessions.begin() as session:
        fill(session.connection(), 5_000)
        row = Dataset(id=DATASET, project_id="prj_default", name="d", format="npz", bytes=1, sha256="0")
        row.state, row.arrays, row.blob = "ready", {}, "x"
        session.add(row)
        session.flush()
        session.execute(text("INSERT INTO job_datasets (job_id, dataset_id) SELECT id, 'ds_old' FROM jobs"))
        fill(session.connection(), 50, "queued", "new")
    with sessions.kw["bind"].connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return sessions


def plans_of(sessions, act):
    """Do something, and explain each query on jobs, attempts and events that it came with."""
    asked = []

    def note(connection, cursor, statement, parameters, *rest):
        if statement.lstrip().startswith("SELECT") and any(
            name in statement for name in ("jobs", "attempts", "events")
        ):
            asked.append((statement, parameters))

    with sessions.begin() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        act(session)
        event.remove(connection, "before_cursor_execute", note)
    with reading(sessions) as session:
        prefix = "EXPLAIN QUERY PLAN " if session.get_bind().dialect.name == "sqlite" else "EXPLAIN "
        for statement, parameters in asked:
            rows = session.connection().exec_driver_sql(prefix + statement, parameters)
            yield "\n".join(str(row[-1]) for row in rows)


def test_no_query_reads_all_that_has_ended(crowded):
    for name, (act, indexes) in QUERIES.items():
        plans = list(plans_of(crowded, act))
        assert plans, name
        for plan in plans:
            whole = [line for line in plan.splitlines() if reads_all(line)]
            assert whole == [], f"{name}: {plan}"
        found = {index for index in indexes for plan in plans if index in plan}
        assert found, f"{name}: {plans}"


OF_ALL = tuple(f"SCAN {table}" for table in ("jobs", "attempts", "events", "job_labels", "job_datasets"))


def reads_all(line):
    """Whether a step reads a table, or an index from end to end."""
    step = line.strip().removeprefix("->").strip()
    return step.startswith(OF_ALL) or "Seq Scan" in step


def test_the_test_tells_a_query_that_reads_all(crowded):
    def without_index(session):
        session.execute(text("SELECT id FROM jobs WHERE seed = 8")).all()

    (plan,) = plans_of(crowded, without_index)
    assert any(reads_all(line) for line in plan.splitlines())


def test_jobs_that_were_there_before_labels_had_a_table_are_found_by_them(tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    migrate(url, "0001")
    sessions = open_sessions(url)
    with sessions.begin() as session:
        moment = "'2026-01-01 00:00:00.000000'"
        session.execute(
            text(
                "INSERT INTO jobs (id, project_id, kind, labels, state, attempt, definition, seed, version, "
                "last_event, created_at, updated_at) VALUES ('job_1', 'prj_default', 'training', :labels, 'queued', "
                f"0, '{{}}', 7, 1, 1, {moment}, {moment})"
            ),
            {"labels": '{"team": "a", "kind": "x"}'},
        )
    sessions.kw["bind"].dispose()

    migrate(url)

    sessions = open_sessions(url)
    with reading(sessions) as session:
        page = Jobs(session, "prj_default").page(Filters(labels={"team": "a", "kind": "x"}), 9, None)
    sessions.kw["bind"].dispose()
    assert [job.id for job in page.items] == ["job_1"]
