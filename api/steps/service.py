"""What happens to steps: they are checked, stored, and waited for."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from api.shelf import Shelf
from api.steps.schemas import StepOut, StepsIn, StepsOut
from api.watching.leaving import while_there
from api.watching.polls import wait_seconds
from api.wiring import Wiring
from core import steps
from core.datasets import Datasets
from core.jobs import unknown
from core.stepping import WAITING
from core.steps import Page, Sent
from core.tables import JobState, Step
from core.unit import reading, unit_of_work
from engine.errors import BadArgument, within
from engine.limits import Limits
from engine.plan import Plan
from engine.sources import Describe
from engine.steps import CLOSE, read_step

#: How long a caller waits for its steps unless it says otherwise.
WAIT_SECONDS = 30


async def send(request: Request, wiring: Wiring, project_id: str, job_id: str, body: StepsIn) -> JSONResponse:
    """Store steps, and answer once they are done, or as far as they are when the wait is over.

    Raises:
        NotFound: There is no such job.
        EngineError: A step is wrong, and none is stored.
        StateConflict: The job is no session, or is not in a state to take steps.
        StepConflict: The numbers are not the next ones, and not those of the same steps.
        StepsGone: They are so old that they are no longer known.
        TooManySteps: As much waits as may.
    """
    await run_in_threadpool(_store, wiring, project_id, job_id, body)
    last = body.first + len(body.steps) - 1
    waited = await _wait(request, wiring, job_id, last, WAIT_SECONDS)
    page = await _page(wiring, job_id, body.first - 1, len(body.steps))
    status = 202 if any(each.state == WAITING for each in page.steps) else 200
    return JSONResponse(_shown(job_id, page), status, waited)


async def browse(
    request: Request, wiring: Wiring, project_id: str, job_id: str, after: int, limit: int
) -> JSONResponse:
    """Answer with the steps after one, if it is wished not before the first of them is done.

    Raises:
        NotFound: There is no such job.
        StateConflict: It is no session.
        StepsGone: The steps are no longer kept.
    """
    await run_in_threadpool(_known, wiring, project_id, job_id)
    waited = await _wait(request, wiring, job_id, after + 1, 0)
    return JSONResponse(_shown(job_id, await _page(wiring, job_id, after, limit)), headers=waited)


def _store(wiring: Wiring, project_id: str, job_id: str, body: StepsIn) -> None:
    with reading(wiring.sessions) as session:
        plan = wiring.plans.of(session, project_id, job_id)
        sent = _read(body.steps, plan, Shelf(Datasets(session, project_id)).describe, wiring.limits)
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        job = steps.append(unit.session, project_id, job_id, body.first, sent)
        if (job.state, job.reason) == (JobState.QUEUED, steps.WOKEN):
            unit.ring_later(job.id)
            unit.after_commit(wiring.watch.nudge)


def _read(given: Sequence[Any], plan: Plan, describe: Describe, limits: Limits) -> list[Sent]:
    sent = []
    for index, each in enumerate(given):
        with within("steps", index):
            asked = read_step(each, plan.model, plan.compile, describe, limits)
            if asked.kind == CLOSE and index < len(given) - 1:
                raise BadArgument("Nothing follows the step that closes a session: send it last.")
        content = json.dumps(each, sort_keys=True, separators=(",", ":")).encode()
        sent.append(Sent(asked.kind, content, frozenset(asked.datasets())))
    return sent


def _known(wiring: Wiring, project_id: str, job_id: str) -> None:
    with reading(wiring.sessions) as session:
        wiring.plans.of(session, project_id, job_id)


async def _wait(request: Request, wiring: Wiring, job_id: str, number: int, usual: int) -> dict[str, str]:
    """Wait as the caller prefers, or as long as is usual; say in a header whether it was granted."""
    preferred = wait_seconds(request.headers.get("prefer", ""))
    seconds = usual if preferred is None else preferred
    watch = wiring.watch
    if seconds and not watch.is_full and not watch.closing:
        request.scope["state"]["waited"] = True
        with watch.place("wait"):
            await while_there(request.receive, wiring.turns.until_done(job_id, number, seconds))
    elif seconds:
        return {}
    return {} if preferred is None else {"Preference-Applied": f"wait={preferred}"}


async def _page(wiring: Wiring, job_id: str, after: int, limit: int) -> Page:
    page = await wiring.turns.page((job_id, after, limit))
    if page is None:
        raise unknown(job_id)
    if after + 1 < page.oldest:
        raise steps.gone(job_id, page.oldest)
    return page


def _shown(job_id: str, page: Page) -> dict[str, Any]:
    shown = [_show(each) for each in page.steps]
    return StepsOut(job=job_id, state=page.state, next=page.next, steps=shown).model_dump(mode="json")


def _show(step: Step) -> StepOut:
    return StepOut(number=step.number, kind=step.kind, state=step.state, result=step.result, error=step.error)
