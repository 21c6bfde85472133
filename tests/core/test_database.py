"""The clock, the types and the transactions, on both databases."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from core.columns import finite
from core.database import db_now, make_engine, normal_url
from core.ids import DEFAULT_PROJECT
from core.settings import Settings
from core.tables import Dataset, Job, Project
from core.unit import reading, unit_of_work


class FakeQueue:
    def __init__(self):
        self.rung = []

    def ring(self, job_id):
        self.rung.append(job_id)


def test_the_clock_is_in_utc_and_has_parts_of_a_second(sessions):
    with sessions() as session:
        seen = [session.scalar(select(db_now())) for _ in range(20)]
        later = session.scalar(select(db_now(60.5)))
        earlier = session.scalar(select(db_now(-60.5)))

    assert abs(seen[0] - datetime.now(UTC)) < timedelta(seconds=20)
    assert any(moment.microsecond % 1_000_000 for moment in seen)
    assert timedelta(seconds=60) < later - seen[0] < timedelta(seconds=70)
    assert timedelta(seconds=50) < seen[0] - earlier < timedelta(seconds=61)


def test_a_server_that_vanishes_is_noticed_within_a_lease(clean_postgres):
    engine = make_engine(clean_postgres)
    with engine.connect() as connection:
        told = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()

    assert int(told["tcp_user_timeout"]) < 1_000 * Settings(_env_file=None).lease_seconds
    assert int(told["connect_timeout"]) < 10
    assert int(told["keepalives_idle"]) < 10


def test_moments_come_back_as_they_were(make_job, sessions):
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone(timedelta(hours=2)))
    job_id = make_job(not_before=moment)
    with reading(sessions) as session:
        found = session.get(Job, job_id).not_before
    assert found == moment
    assert found.utcoffset() == timedelta(0)


def test_a_naive_moment_is_refused(make_job):
    with pytest.raises(StatementError, match="no time zone"):
        make_job(not_before=datetime(2026, 1, 2))  # noqa: DTZ001


def test_json_keeps_the_order_of_its_keys(make_job, sessions):
    job_id = make_job(definition={"zebra": 1, "ant": {"y": None, "b": [1.5, "x"]}})
    with reading(sessions) as session:
        definition = session.get(Job, job_id).definition
    assert list(definition) == ["zebra", "ant"]
    assert list(definition["ant"]) == ["y", "b"]


def test_only_numbers_without_a_json_form_are_rewritten():
    assert finite({"a": [float("nan"), 1.5, (2, float("-inf"))]}) == {"a": ["NaN", 1.5, [2, "-Infinity"]]}


def test_bells_ring_only_after_the_commit(sessions, look):
    queue, done = FakeQueue(), []
    with unit_of_work(sessions, queue) as unit:
        unit.session.add(Project(id="prj_x", name="x"))
        unit.ring_later("job_1")
        unit.after_commit(lambda: done.append("after"))
        unit.on_rollback(lambda: done.append("undone"))
        assert (queue.rung, done) == ([], [])
    assert (queue.rung, done) == (["job_1"], ["after"])
    assert "prj_x" in look(select(Project.id))


def test_a_unit_that_fails_rings_nothing_and_is_undone(sessions, look):
    queue, done = FakeQueue(), []
    with pytest.raises(RuntimeError), unit_of_work(sessions, queue) as unit:
        unit.session.add(Project(id="prj_x", name="x"))
        unit.session.flush()
        unit.ring_later("job_1")
        unit.after_commit(lambda: done.append("after"))
        unit.on_rollback(lambda: done.append("undone"))
        raise RuntimeError
    assert (queue.rung, done) == ([], ["undone"])
    assert "prj_x" not in look(select(Project.id))


def test_a_unit_whose_commit_fails_is_undone(sessions):
    queue, done = FakeQueue(), []
    with pytest.raises(Exception, match=r"UNIQUE|unique"), unit_of_work(sessions, queue) as unit:
        unit.session.add(Project(id=DEFAULT_PROJECT, name="another"))
        unit.ring_later("job_1")
        unit.on_rollback(lambda: done.append("undone"))
    assert (queue.rung, done) == ([], ["undone"])


def test_litter_that_cannot_be_removed_fails_nobody_s_request(sessions, caplog):
    queue = FakeQueue()

    def fail():
        raise OSError("disk on fire")

    with unit_of_work(sessions, queue) as unit:
        unit.after_commit(fail)
        unit.ring_later("job_1")
    assert queue.rung == ["job_1"]
    assert "disk on fire" in caplog.text


def test_foreign_keys_count(sessions):
    row = Dataset(id="ds_1", project_id="prj_nobody", name="d", format="npz", bytes=1, sha256="0")
    row.state, row.arrays, row.blob = "ready", {}, "b"
    with pytest.raises(Exception, match=r"FOREIGN|foreign"), sessions.begin() as session:
        session.add(row)


def test_readers_do_not_wait_for_a_writer(sessions):
    with sessions.begin() as writer:
        writer.add(Project(id="prj_x", name="x"))
        writer.flush()
        seen = []

        def look():
            with reading(sessions) as session:
                seen.extend(session.scalars(select(Project.id)))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(timeout=5)
    assert seen == [DEFAULT_PROJECT]


def test_writers_that_read_first_wait_for_each_other_and_both_succeed(make_job, sessions):
    job_id = make_job()
    start = threading.Barrier(4)

    def count():
        start.wait()
        for _ in range(5):
            with sessions.begin() as session:
                job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
                job.last_event += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(sessions) as session:
        assert session.get(Job, job_id).last_event == 1 + 20


@pytest.mark.parametrize("given", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_any_postgres_url_gets_the_installed_driver(given):
    assert normal_url(given) == "postgresql+psycopg://u:p@h/d"


def test_a_sqlite_file_s_folder_is_made(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path}/a/b/yard.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
