"""GET /v1/jobs/{job_id}: what dashboards ask all the time, at the cost of a share in one look.

With the ETag of the last answer, 304 as long as nothing has changed. `Prefer: wait=N` (RFC 7240) beside it
holds the answer back until something has, for N seconds at most; then 304. Nothing is waited for without an
ETag, nor once a job has ended: there the answer comes at once. `Preference-Applied` tells that the wait was
granted; a gateway that is full of watchers, or about to end, answers at once and without it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.types import Receive, Scope

from api.access import Caller, Doors
from api.watching import etag, hints, is_known
from api.watching.leaving import while_there
from api.watching.watch import Watch
from core import looks
from core.jobs import unknown
from core.looks import Mark
from core.tables import Job

#: A caller may be kept waiting so long; some proxies cut what is silent for a minute.
LONGEST_WAIT_SECONDS = 60

Written = tuple[Mark, bytes]


class Answered(Response):
    """An answer whose bytes are already there."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class Bodies:
    """Written jobs, kept for as long as they are up to date and there is room.

    Args:
        watch: Shares the query among those who ask at the same time.
        show: Turns a row into a schema.
        max_bytes: The room.
    """

    def __init__(self, watch: Watch, show: Callable[[Job], BaseModel], max_bytes: int) -> None:
        self._reading, self._show = watch.shared(self._read), show
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[str, Written] = OrderedDict()

    async def of(self, mark: Mark) -> Written | None:
        """Write down a job that is at least as new as `mark`; `None` where it is gone."""
        kept = self._kept.get(mark.id)
        if kept and kept[0].version == mark.version:
            self._kept.move_to_end(mark.id)
            return kept
        written = await self._reading.one(mark.id)
        if written:
            self._keep(*written)
        return written

    def _keep(self, mark: Mark, body: bytes) -> None:
        if old := self._kept.pop(mark.id, None):
            self._bytes -= len(old[1])
        self._kept[mark.id] = (mark, body)
        self._bytes += len(body)
        while self._bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= len(dropped)

    def _read(self, session: Session, ids: Collection[str]) -> Mapping[str, Written]:
        jobs = looks.jobs(session, ids)
        return {job_id: (looks.mark_of(job), write(self._show(job))) for job_id, job in jobs.items()}


def write(shown: BaseModel) -> bytes:
    """Write a schema down, to the byte as every other route does."""
    return bytes(JSONResponse(shown.model_dump(mode="json")).body)


class Polls:
    """Answers those who ask how a job is.

    Args:
        watch: Knows.
        doors: Lets them in.
        bodies: Writes jobs down.
    """

    def __init__(self, watch: Watch, doors: Doors, bodies: Bodies) -> None:
        self.watch, self.doors, self.bodies = watch, doors, bodies

    async def answer(self, scope: Scope, receive: Receive, job_id: str) -> Response:
        """Say how a job is.

        Raises:
            NotFound: The caller's project has no such job.
            Unauthenticated: The caller has no valid key and needs one.
            Forbidden: The caller is a stranger's web page.
        """
        project_id = await self.doors.project_of(Caller.of(scope))
        mark = await self._mark(job_id, project_id)
        known, prefer = asked(scope)
        applied: dict[str, str] = {}
        if known and prefer and is_known(known, etag(mark)) and not mark.is_terminal:
            mark, applied = await self._wait(scope, receive, mark, wait_seconds(prefer))
        if is_known(known, etag(mark)):
            return Answered(304, hints(mark) | applied)
        written = await self.bodies.of(mark)
        if written is None:
            raise unknown(job_id)
        mark, body = written
        sized = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        return Answered(200, sized | hints(mark) | applied, body)

    async def _mark(self, job_id: str, project_id: str) -> Mark:
        mark = await self.watch.mark(job_id)
        if mark is None or mark.project_id != project_id:
            raise unknown(job_id)
        return mark

    async def _wait(
        self, scope: Scope, receive: Receive, mark: Mark, seconds: int | None
    ) -> tuple[Mark, dict[str, str]]:
        if not seconds or self.watch.is_full or self.watch.closing:
            return mark, {}
        scope["state"]["waited"] = True
        with self.watch.place("wait"):
            newer = await while_there(receive, self._newer(mark, time.monotonic() + seconds))
        return newer or mark, {"Preference-Applied": f"wait={seconds}"}

    async def _newer(self, first: Mark, deadline: float) -> Mark:
        # What a client cannot see in the job may change its mark too, and not its version.
        mark = first
        while mark.version == first.version and (left := deadline - time.monotonic()) > 0:
            newer = await self.watch.change(mark, left)
            if newer is None:
                raise unknown(first.id)
            if newer is mark:
                break
            mark = newer
        return mark


def asked(scope: Scope) -> tuple[str | None, str | None]:
    """Read If-None-Match and Prefer."""
    known = prefer = None
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            known = value.decode("latin-1") if known is None else known
        elif name == b"prefer":
            prefer = value.decode("latin-1") if prefer is None else f"{prefer},{value.decode('latin-1')}"
    return known, prefer


def wait_seconds(prefer: str) -> int | None:
    """Read `wait` from a Prefer header; what cannot be read is no preference, as RFC 7240 has it."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            value = value.strip().strip('"')
            readable = value.isascii() and value.isdigit() and len(value) < 10
            return min(int(value), LONGEST_WAIT_SECONDS) if readable else None
    return None
