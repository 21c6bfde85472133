"""Bells, keys and settings."""

import json
import time

import pytest
from sqlalchemy import select, update

from core import attempts, idempotency, leases
from core.blobs import attempt_key
from core.database import db_now
from core.errors import NotFound
from core.housekeeping import sweep
from core.ids import DEFAULT_PROJECT, new_id
from core.keys import Keys, fingerprint
from core.queue import Queue, make_celery
from core.settings import Settings
from core.tables import ApiKey, Idempotency, Job


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, data_dir=tmp_path)


def test_no_two_attempts_share_a_key():
    assert attempt_key("p", "j", 1, "w") != attempt_key("p", "j", 2, "w")


def test_a_bell_is_a_json_message_with_the_job_s_id(settings, tmp_path):
    queue = Queue(settings)
    queue.ring("job_1")
    queue.check()
    queue.close()

    (message,) = (tmp_path / "broker" / "messages").iterdir()
    envelope = json.loads(message.read_bytes())
    assert envelope["headers"]["task"] == "trainyard.ring"
    assert envelope["content-type"] == "application/json"
    assert "job_1" in envelope["headers"]["argsrepr"]


def test_a_bell_that_fails_is_nobody_s_trouble_and_the_next_one_does_not_wait(tmp_path, caplog):
    queue = Queue(Settings(_env_file=None, data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0"))
    queue.ring("job_1")
    assert "job_1" in caplog.text

    started = time.monotonic()
    for _ in range(100):
        queue.ring("job_2")
    assert time.monotonic() - started < 1
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        queue.check()
    queue.close()


def test_celery_is_a_doorbell_and_nothing_more(settings):
    conf = make_celery(settings).conf
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result
    assert not conf.task_acks_late
    assert not conf.worker_enable_remote_control
    assert conf.worker_prefetch_multiplier == 1
    assert not conf.result_backend


def test_one_setting_moves_everything(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path)
    for url in (settings.database_url, settings.broker_url, settings.storage_url):
        assert str(tmp_path) in url
    other = Settings(_env_file=None, data_dir=tmp_path, database_url="postgresql://u:secret@h/d")
    assert other.database_url == "postgresql://u:secret@h/d"
    assert "secret" not in repr(other)


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINYARD_PORT", "9001")
    monkeypatch.setenv("TRAINYARD_DATA_DIR", str(tmp_path))
    settings = Settings(_env_file=None)
    assert (settings.port, settings.data_dir) == (9001, tmp_path)


def test_ids_sort_by_the_time_they_were_made():
    first = new_id("job")
    time.sleep(0.002)  # the clock of an id counts milliseconds
    assert first < new_id("job")
    assert first.startswith("job_")


def test_a_key_opens_its_own_project_until_it_is_revoked(sessions, look):
    with sessions.begin() as session:
        keys = Keys(session)
        assert not keys.any()
        key, secret = keys.create("laptop", "team-a")
        _, other = keys.create("phone", "team-a")
        _, default = keys.create("ci")

    with sessions.begin() as session:
        keys = Keys(session)
        assert keys.any()
        assert keys.project_of(secret) == keys.project_of(other) != DEFAULT_PROJECT
        assert keys.project_of(default) == DEFAULT_PROJECT
        assert keys.project_of(secret + "x") is None
        assert [each.name for each in keys.all()] == ["laptop", "phone", "ci"]
        assert keys.revoke(key.id).revoked_at is not None
        assert keys.project_of(secret) is None
        assert keys.any(), "a revoked key does not open the gateway to everyone"
        with pytest.raises(NotFound):
            keys.revoke("key_no")

    assert secret.startswith("ty_")
    assert len(secret) >= 43
    stored = look(select(ApiKey).where(ApiKey.id == key.id))[0]
    assert stored.hash == fingerprint(secret)
    assert secret not in str(vars(stored))


def test_the_sweep_removes_old_answers_and_express_jobs_nobody_took_away(make_job, sessions, look):
    ask = idempotency.Ask(project_id=DEFAULT_PROJECT, route="r", key="k", fingerprint="f")
    express, training = make_job(kind="express"), make_job()
    with sessions.begin() as session:
        idempotency.reserve(session, ask, 60.0, 60.0)
        for _ in range(2):
            claim = leases.claim(session, "w", 30.0, ["express", "training"])
            named = {"name": "p", "bytes": 1, "sha256": "0", "format": "npz", "blob": claim.job_id}
            attempts.artifact(session, claim.job_id, 1, "w", **named)
            leases.finish(session, claim.job_id, 1, "w", "succeeded")
    with sessions.begin() as session:
        assert sweep(session, keep_seconds=60.0) == []

    with sessions.begin() as session:
        session.execute(update(Job).values(finished_at=db_now(-7_200)))
        session.execute(update(Idempotency).values(created_at=db_now(-7_200)))
    with sessions.begin() as session:
        assert sweep(session, keep_seconds=60.0) == [express]

    assert look(select(Job.id)) == [training]
    assert look(select(Idempotency)) == []
