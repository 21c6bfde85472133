"""GET /v1/jobs: a page of jobs, with an ETag of what is on it, and waited for as a single job is.

Whoever waits looks again at the same moments as all others do, so that those who wait for the same page share
one query of two narrow columns an interval, however many they are.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session, defer, load_only
from starlette.requests import Request
from starlette.responses import Response

from api.paging import listed
from api.watching import is_known
from api.watching.leaving import while_there
from api.watching.polls import Answered, asked, wait_seconds
from api.watching.watch import Watch
from core.jobs import Filters, Jobs
from core.pages import Cursor, Page
from core.tables import Job

#: How late a change of a list is told.
INTERVAL_SECONDS = 1.0
CACHE = {"Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Question:
    """Which page, of whose jobs; questions that are alike share their answer."""

    project_id: str
    states: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    created_after: datetime | None
    size: int
    after: Cursor | None
    #: Whether each job comes with its definition.
    whole: bool

    def ask(self, session: Session, *options: Any) -> Page[Job]:
        """Read the page."""
        filters = Filters(self.states, dict(self.labels), self.created_after)
        return Jobs(session, self.project_id).page(filters, self.size, self.after, *options)


class Lists:
    """Answers those who ask for a list of jobs.

    Args:
        watch: Shares queries, and has the places of those who wait.
        show: Turns a row into a schema, with or without its definition.
    """

    def __init__(self, watch: Watch, show: Callable[[Job, bool], BaseModel]) -> None:
        self.watch, self._show = watch, show
        self._tags = watch.shared(self._read_tags)
        self._pages = watch.shared(self._read_pages)

    async def answer(self, request: Request, question: Question) -> Response:
        """Send a page, unless the caller has it."""
        known, prefer = asked(request.scope)
        applied: dict[str, str] = {}
        if known:
            tag = await self._tag(question)
            if prefer and is_known(known, tag):
                tag, applied = await self._wait(request, question, tag, wait_seconds(prefer))
            if is_known(known, tag):
                return Answered(304, {"ETag": tag, **CACHE} | applied)
        tag, body = (await self._pages.many((question,)))[question]
        sized = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        return Answered(200, sized | {"ETag": tag, **CACHE} | applied, body)

    async def _tag(self, question: Question) -> str:
        return (await self._tags.many((question,)))[question]

    async def _wait(
        self, request: Request, question: Question, tag: str, seconds: int | None
    ) -> tuple[str, dict[str, str]]:
        if not seconds or self.watch.is_full or self.watch.closing:
            return tag, {}
        request.scope["state"]["waited"] = True
        with self.watch.place("wait"):
            deadline = time.monotonic() + seconds
            newer = await while_there(request.receive, self._newer(question, tag, deadline))
        return newer or tag, {"Preference-Applied": f"wait={seconds}"}

    async def _newer(self, question: Question, tag: str, deadline: float) -> str:
        newer = tag
        while newer == tag and not self.watch.closing and (left := deadline - time.monotonic()) > 0:
            # All wake at the same moments, and so share their look.
            await asyncio.sleep(min(left, INTERVAL_SECONDS - time.monotonic() % INTERVAL_SECONDS))
            newer = await self._tag(question)
        return newer

    def _read_tags(self, session: Session, questions: Collection[Question]) -> Mapping[Question, str]:
        narrow = load_only(Job.id, Job.version, Job.created_at)
        return {each: tag_of(each.ask(session, narrow)) for each in questions}

    def _read_pages(self, session: Session, questions: Collection[Question]) -> Mapping[Question, tuple[str, bytes]]:
        pages = {}
        for each in questions:
            page = each.ask(session) if each.whole else each.ask(session, defer(Job.definition))
            pages[each] = (tag_of(page), self._written(page, each.whole))
        return pages

    def _written(self, page: Page[Job], whole: bool) -> bytes:
        left_out = None if whole else {"definition"}
        shown = listed(page, lambda job: self._show(job, whole).model_dump(mode="json", exclude=left_out))
        return bytes(JSONResponse(shown).body)


def tag_of(page: Page[Job]) -> str:
    """Write down which jobs are on a page, how far each is, and whether there are more."""
    content = ",".join(f"{job.id}:{job.version}" for job in page.items) + f";{page.next is not None}"
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
