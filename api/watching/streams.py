"""A job's events as they happen: server-sent events, the same as the pages and as gap-free."""

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access import Caller, Doors
from api.jobs.schemas import EventOut
from api.watching.leaving import while_there
from api.watching.watch import Watch
from core import looks
from core.errors import ServiceError
from core.looks import Mark, Place

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
PING = b": ping\n\n"
END = b"event: end\ndata: {}\n\n"
#: What a browser waits before it comes back.
RETRY = b"retry: 2000\n\n"


@dataclass(frozen=True)
class Told:
    """Some events as they go out, and the number of the last of them."""

    text: bytes
    last: int


def read_on(session: Session, places: Collection[Place]) -> Mapping[Place, Told]:
    """Read on from some places; an event that several are waiting for is written once."""
    written: dict[Place, bytes] = {}
    told = {}
    for place, rows in looks.events(session, places).items():
        for row in rows:
            if (row.job_id, row.seq) not in written:
                written[row.job_id, row.seq] = write(row)
        if rows:
            told[place] = Told(b"".join(written[row.job_id, row.seq] for row in rows), rows[-1].seq)
    return told


def write(event: Any) -> bytes:
    """Write an event in the form of an event stream; JSON has no line ends of its own."""
    data = EventOut.model_validate(event, from_attributes=True).model_dump_json()
    return f"id: {event.seq}\nevent: {event.type}\ndata: {data}\n\n".encode()


class Streams:
    """Opens streams.

    Args:
        watch: Tells of changes.
        doors: Asked again at every ping, so that a key that was revoked does not go on listening.
        ping_seconds: How long a stream may be silent.
    """

    def __init__(self, watch: Watch, doors: Doors, ping_seconds: float) -> None:
        self.watch, self.doors, self.ping_seconds = watch, doors, ping_seconds
        self.events = watch.shared(read_on)

    def open(self, job_id: str, after: int) -> "Stream":
        """Answer with a job's events after one of them."""
        return Stream(self, job_id, after)

    async def told(self, job_id: str, after: int, caller: Caller) -> AsyncIterator[bytes]:
        """Tell a job's events, with pings between them, and the end."""
        mark = await self.watch.mark(job_id)
        while mark is not None and not self.watch.closing:
            while after < mark.last_event and (told := await self.events.one((job_id, after))):
                yield told.text
                after = told.last
            if mark.is_terminal and after >= mark.last_event:
                yield END
                return
            mark, seen = await self._next(mark), mark
            if mark is seen:
                await self.doors.project_of(caller)
                yield PING

    async def _next(self, seen: Mark) -> Mark | None:
        return await self.watch.change(seen, self.ping_seconds)


class Stream(Response):
    """One client's stream, from its first event to its end, or until the client hangs up."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, job_id: str, after: int) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._streams, self._job_id, self._after = streams, job_id, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more.

        Raises:
            Unavailable: The gateway has too many watchers.
        """
        with self._streams.watch.place("stream"):
            scope["state"]["waited"] = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await while_there(receive, self._tell(Caller.of(scope), send))

    async def _tell(self, caller: Caller, send: Send) -> None:
        try:
            await send(_body(RETRY))
            async for text in self._streams.told(self._job_id, self._after, caller):
                await send(_body(text))
        except ServiceError as error:
            log.info("the stream of %s ends: %s", self._job_id, error.title)
        except OSError:
            return
        except Exception:
            # The client comes back by itself, with the number of the last event that it has.
            log.exception("the stream of %s breaks off", self._job_id)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(text: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": True}
