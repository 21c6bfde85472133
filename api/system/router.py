"""Paths of health, metrics and capabilities."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text

from api.steps.schemas import MOST_BYTES, MOST_STEPS
from api.strict import StrictRoute
from api.wiring import ProjectDep, Wiring, WiringDep
from core.counts import count
from core.formats import FORMATS
from core.steps import MOST_WAITING, MOST_WAITING_BYTES
from core.tables import JobState
from core.unit import reading
from engine.capabilities import capabilities

log = logging.getLogger(__name__)
router = APIRouter(tags=["system"], route_class=StrictRoute)


@router.get("/healthz", operation_id="get_health")
def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="get_readiness", responses={503: {"description": "Something does not answer."}})
def readiness(wiring: WiringDep) -> Response:
    """Say whether database, storage and broker answer too."""
    checks = {
        "database": lambda: _look(wiring),
        "storage": wiring.blobs.check,
        "broker": wiring.queue.check,
    }
    found = {name: _works(name, check) for name, check in checks.items()}
    good = all(found.values())
    words = {name: "ok" if works else "unreachable" for name, works in found.items()}
    return JSONResponse({"status": "ok" if good else "not ready", **words}, 200 if good else 503)


def _look(wiring: Wiring) -> None:
    with reading(wiring.sessions) as session:
        session.execute(text("SELECT count(*) FROM projects"))


def _works(name: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception as error:
        # Whatever it is, the answer is the same; the log says more than a stranger may know.
        log.warning("%s does not answer: %s", name, type(error).__name__)
        return False
    return True


@router.get("/metrics", response_class=Response, operation_id="get_prometheus")
def prometheus(request: Request, wiring: WiringDep) -> Response:
    """Count requests, watchers, jobs, the queue and attempts, in Prometheus's format."""
    with reading(wiring.sessions) as session:
        counts = count(session)
    content, media_type = request.app.state.meters.render(counts, wiring.watch.taken)
    return Response(content, media_type=media_type)


@router.get("/v1/capabilities", operation_id="get_capabilities")
def capable(wiring: WiringDep, project_id: ProjectDep) -> dict[str, Any]:
    """List every layer, optimizer, loss, metric and callback with its arguments, and the limits."""
    settings = wiring.settings
    limits = asdict(wiring.limits) | {
        "max_body_bytes": settings.max_body_bytes,
        "max_upload_bytes": settings.max_upload_bytes,
        "max_steps": MOST_STEPS,
        "max_steps_bytes": MOST_BYTES,
        "max_waiting_steps": MOST_WAITING,
        "max_waiting_steps_bytes": MOST_WAITING_BYTES,
    }
    return {
        **capabilities(),
        "limits": limits,
        "dataset_formats": list(FORMATS),
        "job_states": [str(state) for state in JobState],
    }
