"""What a route may ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker

from api.access import Caller, project_of
from api.spool import Spool
from api.steps.plans import Plans
from api.watching.lists import Lists
from api.watching.polls import Polls
from api.watching.streams import Streams
from api.watching.turns import Turns
from api.watching.watch import Watch
from core.blobs import Blobs
from core.buckets import Bucket
from core.queue import Queue
from core.settings import Settings
from core.unit import reading
from engine.limits import Limits


@dataclass(frozen=True)
class Wiring:
    """What the whole gateway shares."""

    settings: Settings
    sessions: sessionmaker[Session]
    queue: Queue
    blobs: Blobs
    #: Where clients may upload and download by themselves; None where all goes through the gateway.
    bucket: Bucket | None
    spool: Spool
    limits: Limits
    #: Places for callers who wait for a prediction.
    lanes: BoundedSemaphore
    watch: Watch
    #: The same for express jobs, with shorter intervals, for as long as somebody waits for one.
    express: Watch
    polls: Polls
    lists: Lists
    streams: Streams
    #: The models of sessions, and who waits for their steps.
    plans: Plans
    turns: Turns


async def the_wiring(request: Request) -> Wiring:
    """Fetch what `create_app` put together; async, for it waits for nothing and needs no thread."""
    wiring: Wiring = request.app.state.wiring
    return wiring


WiringDep = Annotated[Wiring, Depends(the_wiring)]


async def the_watch(wiring: WiringDep) -> Watch:
    """Fetch what knows of those who watch."""
    return wiring.watch


WatchDep = Annotated[Watch, Depends(the_watch)]


def the_project(request: Request, wiring: WiringDep) -> str:
    """Say whose things this request may see."""
    with reading(wiring.sessions) as session:
        return project_of(Caller.of(request.scope), session, wiring.settings.host)


ProjectDep = Annotated[str, Depends(the_project)]


def open_session(wiring: WiringDep, project_id: ProjectDep) -> Iterator[Session]:
    """Open a session that only looks.

    The project comes first: who held one connection and waited for another would, among many, wait for ever.
    """
    with reading(wiring.sessions) as session:
        yield session


#: scope="function" closes the session before the answer is sent, not after it.
SessionDep = Annotated[Session, Depends(open_session, scope="function")]
