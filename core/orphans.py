"""The sweep of the storage: what no row points at, and what is no live attempt's, is removed when it is old enough."""

import logging
import re
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session, sessionmaker

from core.blobs import Blobs, StorageFailed
from core.buckets import Bucket
from core.database import db_now
from core.folders import Found
from core.settings import Settings
from core.tables import HELD, Artifact, Checkpoint, Dataset, Job, Sweep, WeightsFile
from core.unit import Bell, reading, unit_of_work
from core.uploads import awaited_parts

log = logging.getLogger(__name__)

ROOT = "projects"
#: Blobs that are looked at in one turn; a storage of millions is gone through in as many turns as it takes.
PAGE = 1_000
#: How long a turn may take before another reaper takes it.
TURN_SECONDS = 120.0
NAME = "orphans"

#: Which row a blob belongs to; what is named otherwise is not ours, and is left alone.
KEY = re.compile(r"projects/[^/]+/(?:(datasets|uploads|weights)/(\w+)[^/]*|jobs/(\w+)/a(\d+)/[^/]+)")


class Orphans:
    """Goes round the storage a page at a time; of any number of reapers one does it at any time.

    The age of a blob is its storage's own last-modified against the same storage's clock.

    Args:
        settings: How old an orphan must be.
        sessions: Where the rows are.
        bell: For the transactions; it is never rung.
        blobs: The storage.
        bucket: The same, where uploads in parts may lie in it.
    """

    def __init__(
        self, settings: Settings, sessions: sessionmaker[Session], bell: Bell, blobs: Blobs, bucket: Bucket | None
    ) -> None:
        self._settings, self._sessions, self._bell = settings, sessions, bell
        self._blobs, self._bucket = blobs, bucket

    def look(self) -> list[str]:
        """Look at the next page, if it is time; return the keys that were removed."""
        after = self._take_turn()
        if after is None:
            return []
        try:
            return self._turn(after)
        except Exception:
            # Whoever looks next need not wait as if we had died.
            self._next(after, self._settings.sweep_seconds)
            raise

    def _turn(self, after: str) -> list[str]:
        page = self._blobs.page(ROOT, after, PAGE)
        removed = self._sweep(page)
        if len(page) == PAGE:
            self._next(page[-1].key, 0.0)
        else:
            self._abort_parts()
            # Nothing becomes an orphan any faster.
            self._next("", self._settings.orphan_grace_seconds)
        return removed

    def _take_turn(self) -> str | None:
        due = and_(Sweep.name == NAME, Sweep.due_at <= db_now())
        with reading(self._sessions) as session:
            if session.scalar(select(Sweep.name).where(due)) is None:
                return None
        with unit_of_work(self._sessions, self._bell) as unit:
            take = update(Sweep).where(due).values(due_at=db_now(TURN_SECONDS)).returning(Sweep.after)
            return unit.session.scalar(take)

    def _next(self, after: str, seconds: float) -> None:
        with unit_of_work(self._sessions, self._bell) as unit:
            unit.session.execute(update(Sweep).where(Sweep.name == NAME).values(after=after, due_at=db_now(seconds)))

    def _sweep(self, page: list[Found]) -> list[str]:
        if not page:
            return []
        old_enough = self._blobs.now() - timedelta(seconds=self._settings.orphan_grace_seconds)
        old = [found.key for found in page if found.modified < old_enough]
        with reading(self._sessions) as session:
            needed = needed_of(session, old)
        return [key for key in old if key not in needed and self._remove(key)]

    def _remove(self, key: str) -> bool:
        try:
            self._blobs.delete(key)
        except StorageFailed:
            log.exception("an orphan stays: %s", key)
            return False
        log.info("removed %s, which no row points at", key)
        return True

    def _abort_parts(self) -> None:
        """Drop the parts of uploads that no row knows, when even the slowest of them would have been joined."""
        if self._bucket is None:
            return
        begun = self._bucket.begun(ROOT)
        if not begun:
            return
        seconds = self._settings.upload_expire_seconds + self._settings.orphan_grace_seconds
        old_enough = self._blobs.now() - timedelta(seconds=seconds)
        with reading(self._sessions) as session:
            awaited = awaited_parts(session, [each.upload_id for each in begun])
        for each in begun:
            if each.at < old_enough and each.upload_id not in awaited:
                self._bucket.abort(each.key, each.upload_id)
                log.info("dropped the parts of %s, which no row waits for", each.key)


def needed_of(session: Session, keys: Iterable[str]) -> set[str]:
    """Tell which blobs a row points at, a live attempt may still need, or are none of ours."""
    known = {key: KEY.fullmatch(key) for key in keys}
    needed = {key for key, match in known.items() if match is None}
    of_jobs = {key: (match[3], int(match[4])) for key, match in known.items() if match and match[3]}
    jobs = {job_id for job_id, _ in of_jobs.values()}
    files = {match[2] for match in known.values() if match and match[2]}
    # Live attempts come first: one that ends between two of these questions has written its rows by the second.
    held = select(Job.id, Job.attempt).where(Job.id.in_(jobs), Job.state.in_(HELD))
    live = {(row.id, row.attempt) for row in session.execute(held)}
    needed |= {key for key, attempt in of_jobs.items() if attempt in live}
    for blob, owner, ids in (
        (Dataset.blob, Dataset.id, files),
        (WeightsFile.blob, WeightsFile.id, files),
        (Artifact.blob, Artifact.job_id, jobs),
        (Checkpoint.blob, Checkpoint.job_id, jobs),
    ):
        needed |= set(session.scalars(select(blob).where(owner.in_(ids))))
    return needed
