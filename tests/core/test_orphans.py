"""The sweep of the storage: nothing without a row stays, and nothing that anybody needs goes."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import orphans as module
from core.blobs import Blobs, StorageFailed, attempt_key, dataset_key, upload_key, weights_key
from core.buckets import open_bucket
from core.database import db_now
from core.ids import DEFAULT_PROJECT, new_id
from core.orphans import Orphans, needed_of
from core.settings import Settings
from core.tables import Artifact, Checkpoint, Dataset, Sweep, Upload, WeightsFile
from core.uploads import expire
from tests.servers.seaweed import ON_S3, s3_url, seaweed  # noqa: F401


class NoBell:
    def ring(self, job_id):
        raise AssertionError("a sweep rings for nobody")


@pytest.fixture(params=["embedded", pytest.param("production", marks=ON_S3)])
def way(request):
    """The two ways the service runs: SQLite and a folder, PostgreSQL and S3."""
    return request.param


@pytest.fixture
def url(way, request):
    return request.getfixturevalue({"embedded": "sqlite_url", "production": "clean_postgres"}[way])


@pytest.fixture
def storage_url(way, request, tmp_path):
    return f"file://{tmp_path}/blobs" if way == "embedded" else request.getfixturevalue("s3_url")


@pytest.fixture
def settings(tmp_path):
    """Nothing is too young to be swept."""
    return Settings(_env_file=None, data_dir=tmp_path, orphan_grace_seconds=1e-6, upload_expire_seconds=1e-6)


@pytest.fixture
def blobs(storage_url):
    return Blobs(storage_url)


@pytest.fixture
def make_orphans(settings, sessions, blobs, storage_url):
    return lambda **values: Orphans(
        settings.model_copy(update=values), sessions, NoBell(), blobs, open_bucket(storage_url)
    )


@pytest.fixture
def left(blobs):
    return lambda: {found.key for found in blobs.page("projects", "", 1_000)}


@pytest.fixture
def settled(blobs):
    """Wait until the storage's clock, which counts seconds, has moved on."""

    def settled():
        newest = max((found.modified for found in blobs.page("projects", "", 1_000)), default=None)
        deadline = time.monotonic() + 10
        while newest is not None and blobs.now() - timedelta(milliseconds=1) <= newest:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return settled


@pytest.fixture(autouse=True)
def from_the_beginning(sessions):
    """PostgreSQL's database outlives a test, and with it how far the last sweep has come."""
    with sessions.begin() as session:
        session.execute(update(Sweep).values(after="", due_at=db_now(-1)))


@pytest.fixture
def due(sessions):
    """Let the next turn be due at once."""

    def due():
        with sessions.begin() as session:
            session.execute(update(Sweep).values(due_at=db_now(-1)))

    return due


@pytest.fixture
def keep(blobs, sessions):
    """Store a blob with the row that points at it."""

    def keep(row):
        blobs.put(row.blob, b"1")
        with sessions.begin() as session:
            session.add(row)
        return row.blob

    return keep


def dataset(blob=None):
    row = Dataset(id=new_id("ds"), project_id=DEFAULT_PROJECT, name="d", format="npz", bytes=1, sha256="0")
    row.state, row.arrays, row.blob = "ready", {}, blob or dataset_key(DEFAULT_PROJECT, row.id)
    return row


def test_what_no_row_points_at_is_removed_and_all_else_stays(make_orphans, blobs, keep, left, settled, make_job, take):
    job_id, ended, ds = make_job(), "job_gone", dataset()
    take()
    weights = WeightsFile(id="wts_1", project_id=DEFAULT_PROJECT, bytes=1, sha256="0", format="hdf5", kernels="t")
    weights.blob = weights_key(DEFAULT_PROJECT, "wts_1")
    artifact = Artifact(job_id=job_id, name="w", attempt=0, bytes=1, sha256="0", format="h", blob="")
    artifact.blob = attempt_key(DEFAULT_PROJECT, job_id, 0, "w")
    checkpoint = Checkpoint(job_id=job_id, attempt=0, step=1, epoch=0, bytes=1, sha256="0")
    checkpoint.blob, checkpoint.created_at = attempt_key(DEFAULT_PROJECT, job_id, 0, "checkpoint-1"), datetime.now(UTC)
    needed = {keep(row) for row in (ds, weights, artifact, checkpoint)}
    live = attempt_key(DEFAULT_PROJECT, job_id, 1, "not-yet-published.h5")
    strange = f"projects/{DEFAULT_PROJECT}/notes/of-another-program"
    orphans = {
        dataset_key(DEFAULT_PROJECT, "ds_gone"),
        f"{ds.blob}.v_older",
        upload_key(DEFAULT_PROJECT, ds.id),
        weights_key(DEFAULT_PROJECT, "wts_gone"),
        attempt_key(DEFAULT_PROJECT, job_id, 0, "checkpoint-0"),
        attempt_key(DEFAULT_PROJECT, job_id, 2, "w"),
        attempt_key(DEFAULT_PROJECT, ended, 1, "w"),
    }
    for key in orphans | {live, strange}:
        blobs.put(key, b"1")
    settled()

    removed = make_orphans().look()

    assert set(removed) == orphans
    assert left() == needed | {live, strange}


def test_what_is_young_stays(make_orphans, blobs, left):
    key = dataset_key(DEFAULT_PROJECT, "ds_gone")
    blobs.put(key, b"1")
    assert make_orphans(orphan_grace_seconds=3_600.0).look() == []
    assert left() == {key}


def test_an_attempt_that_is_no_longer_live_keeps_nothing(make_orphans, blobs, left, settled, make_job, take, write):
    job_id = make_job()
    take()
    blobs.put(attempt_key(DEFAULT_PROJECT, job_id, 1, "w"), b"1")
    write("finish", job_id, "queued", reason="worker_stopped")
    settled()
    make_orphans().look()
    assert left() == set()


def test_a_storage_is_gone_through_page_by_page_and_each_reaper_goes_on_from_the_last(
    make_orphans, blobs, left, settled, keep, monkeypatch
):
    monkeypatch.setattr(module, "PAGE", 3)
    kept = {keep(dataset()) for _ in range(4)}
    for number in range(8):
        blobs.put(dataset_key(DEFAULT_PROJECT, f"ds_gone{number}"), b"1")
    settled()
    asked = []
    page = blobs.page
    monkeypatch.setattr(
        blobs, "page", lambda folder, after, size: asked.append((after, size)) or page(folder, after, size)
    )

    removed = [make_orphans().look() for _ in range(5)]

    assert sum(map(len, removed)) == 8
    assert all(len(each) <= 3 for each in removed)
    assert {size for _, size in asked[:5]} == {3}
    assert [after for after, _ in asked] == sorted(after for after, _ in asked), "never back to the beginning"
    assert left() == kept


def test_after_a_round_it_rests_and_then_begins_anew(make_orphans, blobs, left, due, look, settled):
    orphans = make_orphans()
    assert orphans.look() == []
    resting = make_orphans(orphan_grace_seconds=3_600.0)
    due()
    resting.look()
    blobs.put(dataset_key(DEFAULT_PROJECT, "ds_gone"), b"1")
    settled()

    assert orphans.look() == []
    assert look(select(Sweep.after)) == [""]
    due()
    assert len(orphans.look()) == 1
    assert left() == set()


def test_of_two_reapers_one_looks(make_orphans, blobs, monkeypatch):
    first, second = make_orphans(), make_orphans()

    def page(folder, after, size):
        assert second.look() == [], "the turn is taken"
        return []

    monkeypatch.setattr(blobs, "page", page)
    first.look()


def test_a_turn_that_failed_is_taken_again_at_the_next_look(
    make_orphans, blobs, due, settled, monkeypatch, look, settings
):
    blobs.put(dataset_key(DEFAULT_PROJECT, "ds_gone"), b"1")
    settled()
    orphans = make_orphans()
    with monkeypatch.context() as broken:
        broken.setattr(blobs, "page", lambda *_: (_ for _ in ()).throw(StorageFailed("down")))
        with pytest.raises(StorageFailed):
            orphans.look()
    assert orphans.look() == [], "not at once: the storage is down for a while"
    assert look(select(Sweep.name).where(Sweep.due_at <= db_now(settings.sweep_seconds))), "nor as if we had died"
    due()
    assert len(orphans.look()) == 1


def test_one_blob_that_cannot_be_removed_does_not_keep_the_others(make_orphans, blobs, left, settled, monkeypatch):
    first, second = (dataset_key(DEFAULT_PROJECT, name) for name in ("ds_a", "ds_b"))
    blobs.put(first, b"1")
    blobs.put(second, b"1")
    settled()
    delete = blobs.delete

    def picky(key):
        if key == first:
            raise StorageFailed("denied")
        delete(key)

    monkeypatch.setattr(blobs, "delete", picky)
    assert make_orphans().look() == [second]
    assert left() == {first}


@pytest.mark.parametrize("way", [pytest.param("production", marks=ON_S3)], indirect=True)
def test_parts_that_no_row_waits_for_are_dropped(make_orphans, storage_url, keep, settled, due, sessions):
    bucket = open_bucket(storage_url)
    row = dataset(upload_key(DEFAULT_PROJECT, "ds_awaited"))
    row.state = "awaiting_upload"
    keep(row)
    awaited, orphan = bucket.begin(row.blob), bucket.begin(upload_key(DEFAULT_PROJECT, "ds_gone"))
    with sessions.begin() as session:
        session.add(Upload(dataset_id=row.id, multipart=awaited, part_bytes=1, expires_at=db_now(60)))

    deadline = time.monotonic() + 10
    while len(bucket.begun("projects")) > 1:
        assert time.monotonic() < deadline
        due()
        make_orphans().look()

    assert [each.upload_id for each in bucket.begun("projects")] == [awaited]
    assert bucket.parts(upload_key(DEFAULT_PROJECT, "ds_gone"), orphan) is None


def test_rows_are_asked_for_after_live_attempts(make_job, take, write, sessions):
    """A job that ends in between is seen by its rows: the other way round its files would be no one's."""
    job_id = make_job()
    take()
    key = attempt_key(DEFAULT_PROJECT, job_id, 1, "w")
    with sessions.begin() as session:
        asked = []
        execute, scalars = session.execute, session.scalars
        session.execute = lambda query, **more: asked.append(str(query)) or execute(query, **more)
        session.scalars = lambda query, **more: asked.append(str(query)) or scalars(query, **more)
        assert needed_of(session, [key]) == {key}
    assert "FROM jobs" in asked[0]
    assert any("FROM artifacts" in query for query in asked[1:])


def test_an_upload_that_never_came_is_given_up_with_its_dataset(sessions, look):
    late, early = dataset(), dataset()
    with sessions.begin() as session:
        for row, seconds in ((late, -1), (early, 60)):
            row.state = "awaiting_upload"
            session.add(row)
            session.flush()
            session.add(Upload(dataset_id=row.id, multipart=f"parts-of-{row.id}", expires_at=db_now(seconds)))

    with sessions.begin() as session:
        (litter,) = expire(session)

    assert (litter.blob, litter.multipart) == (late.blob, f"parts-of-{late.id}")
    assert look(select(Dataset.id)) == look(select(Upload.dataset_id)) == [early.id]
