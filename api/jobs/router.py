"""Paths of jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request, Response

from api.examples import JOBS
from api.idempotency import OnceDep
from api.jobs import service
from api.jobs.filters import FiltersDep
from api.jobs.schemas import (
    ArtifactPage,
    AttemptPage,
    EventPage,
    History,
    JobIn,
    JobOut,
    JobPage,
    ValidationOut,
)
from api.paging import PageDep
from api.strict import StrictRoute
from api.watching.lists import Question
from api.watching.streams import Stream
from api.wiring import ProjectDep, SessionDep, WatchDep, WiringDep
from core.jobs import Jobs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)
PREFER = "`wait=N`: with If-None-Match, answer when the job has changed, and after N seconds at the latest."
UNCHANGED: dict[str, Any] = {"description": "Nothing has changed since the answer that If-None-Match names."}
STREAM: dict[str, Any] = {"content": {Stream.media_type: {"schema": {"type": "string"}}}}

JobDep = Annotated[JobIn, Body(openapi_examples=JOBS)]

validations = APIRouter(prefix="/v1/validations", tags=["jobs"], route_class=StrictRoute)


@validations.post("", response_model=ValidationOut, operation_id="validate_job")
def validate(body: JobDep, session: SessionDep, wiring: WiringDep, project_id: ProjectDep) -> dict[str, Any]:
    """Check a job without storing it: shapes, parameters, memory and steps, warnings."""
    return service.validate(session, wiring, project_id, body)


@router.post("", status_code=201, response_model=JobOut, operation_id="create_job")
def submit(body: JobDep, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Queue a job."""
    asked = body.model_dump(exclude_unset=True)
    return once.do(asked, lambda unit: service.submit(unit, wiring, project_id, body))


@router.get("", response_model=JobPage, operation_id="list_jobs", responses={304: UNCHANGED})
async def browse(
    filters: FiltersDep,
    page: PageDep,
    request: Request,
    wiring: WiringDep,
    project_id: ProjectDep,
    definition: Annotated[bool, Query(description="`false` leaves out what a list rarely needs.")] = True,
    if_none_match: Annotated[str | None, Header(description="The ETag of the last answer.")] = None,
    prefer: Annotated[str | None, Header(description=PREFER)] = None,
) -> Response:
    """List jobs, newest first; with the ETag of the last answer, 304 as long as the page is the same."""
    labels = tuple(filters.labels.items())
    question = Question(
        project_id, tuple(filters.states), labels, filters.created_after, page.size, page.after, definition
    )
    return await wiring.lists.answer(request, question)


@router.get("/{job_id}", response_model=JobOut, operation_id="get_job", responses={304: UNCHANGED})
async def read(
    job_id: str,
    request: Request,
    wiring: WiringDep,
    if_none_match: Annotated[str | None, Header(description="The ETag of the last answer.")] = None,
    prefer: Annotated[str | None, Header(description=PREFER)] = None,
) -> Response:
    """Say how a job is; with the ETag of the last answer, 304 as long as nothing has changed.

    With that ETag and `Prefer: wait=30` the answer comes once the job has changed, and after 30 seconds
    (60 at most) at the latest; `Preference-Applied` says that the wait was granted. Without the ETag, and of
    a job that has ended, the answer comes at once.
    """
    # `api.watching.shortcut` has answered the usual ones before they come here.
    return await wiring.polls.answer(request.scope, request.receive, job_id)


@router.post("/{job_id}/cancel", status_code=202, response_model=JobOut, operation_id="cancel_job")
def cancel(job_id: str, once: OnceDep, watch: WatchDep, project_id: ProjectDep) -> Response:
    """End a job for good; what it has left so far stays."""
    return once.do(None, lambda unit: service.change(unit, watch, job_id, Jobs(unit.session, project_id).cancel))


@router.post("/{job_id}/pause", status_code=202, response_model=JobOut, operation_id="pause_job")
def pause(job_id: str, once: OnceDep, watch: WatchDep, project_id: ProjectDep) -> Response:
    """Let a job rest at a checkpoint."""
    return once.do(None, lambda unit: service.change(unit, watch, job_id, Jobs(unit.session, project_id).pause))


@router.post("/{job_id}/resume", status_code=202, response_model=JobOut, operation_id="resume_job")
def resume(job_id: str, once: OnceDep, watch: WatchDep, project_id: ProjectDep) -> Response:
    """Let a paused job go on."""
    return once.do(None, lambda unit: service.change(unit, watch, job_id, Jobs(unit.session, project_id).resume))


@router.post("/{job_id}/stop", status_code=202, response_model=JobOut, operation_id="stop_job")
def stop(job_id: str, once: OnceDep, watch: WatchDep, project_id: ProjectDep) -> Response:
    """Have a training end after the epoch that it is in.

    The job then succeeds with what it has learnt, all files included, and the reason `stopped_by_user`; until then it
    is `running`, and `stopping`. One that has not begun is cancelled instead.
    """
    return once.do(None, lambda unit: service.change(unit, watch, job_id, Jobs(unit.session, project_id).stop))


@router.get("/{job_id}/metrics", response_model=History, operation_id="get_metrics")
def metrics(
    job_id: str,
    session: SessionDep,
    project_id: ProjectDep,
    after: Annotated[int, Query(ge=-1, lt=2**63, description="Only epochs that come after this one.")] = -1,
) -> History:
    """Read the history so far: one list for each Keras log name.

    A further attempt may replace epochs that had not been checkpointed: read from the beginning when it begins.
    """
    jobs = Jobs(session, project_id)
    return service.history(jobs.epochs(jobs.get(job_id).id, after))


@router.get("/{job_id}/events", response_model=EventPage, operation_id="list_events", responses={200: STREAM})
def events(
    job_id: str,
    session: SessionDep,
    wiring: WiringDep,
    project_id: ProjectDep,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    page_size: Annotated[int, Query(ge=1, le=1_000)] = 200,
    page_token: Annotated[str | None, Query(pattern=r"^\d{1,18}$")] = None,
    accept: Annotated[str, Header(description="`text/event-stream` for a stream.")] = "",
    last_event_id: Annotated[int, Header(ge=0, lt=2**63, description="Where a stream broke off.")] = 0,
) -> Any:
    """Read a job's story from event number `after` on; numbers have no gap.

    With `Accept: text/event-stream` the same events come as server-sent events, each when it happens: `id` is
    its number, `event` its type, `data` what a page holds of it. After the last event of a job that has ended
    comes `event: end`. `Last-Event-ID` goes on where a stream broke off.
    """
    jobs = Jobs(session, project_id)
    job = jobs.get(job_id)
    after = max(after, int(page_token or 0), last_event_id)
    if Stream.media_type in accept.lower():
        return wiring.streams.open(job.id, after)
    items = [service.show_event(event) for event in jobs.events(job.id, after, page_size)]
    last = items[-1].seq if items else after
    more = len(items) == page_size and last < job.last_event
    return {"items": items, "next_after": last, "next_page_token": str(last) if more else None}


@router.get("/{job_id}/attempts", response_model=AttemptPage, operation_id="list_attempts")
def attempts(job_id: str, session: SessionDep, project_id: ProjectDep) -> dict[str, Any]:
    """List the tries at a job, first to last."""
    jobs = Jobs(session, project_id)
    return {"items": [service.show_attempt(row) for row in jobs.attempts(jobs.get(job_id).id)]}


@router.get("/{job_id}/artifacts", response_model=ArtifactPage, operation_id="list_artifacts")
def artifacts(job_id: str, session: SessionDep, project_id: ProjectDep) -> dict[str, Any]:
    """List the files a job has left so far."""
    jobs = Jobs(session, project_id)
    return {"items": [service.show_artifact(row) for row in jobs.artifacts(jobs.get(job_id).id)]}
