"""What the reaper sweeps up besides leases."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import idempotency
from core.database import db_now
from core.jobs import Jobs
from core.leases import EXPRESS
from core.tables import TERMINAL, Job


def sweep(session: Session, keep_seconds: float, express_seconds: float = 3_600.0) -> list[str]:
    """Drop old answers, and express jobs whose gateway died; return blobs to delete after the commit."""
    idempotency.forget(session, keep_seconds)
    query = select(Job.id, Job.project_id).where(
        Job.state.in_(sorted(TERMINAL)), Job.kind == EXPRESS, Job.finished_at < db_now(-express_seconds)
    )
    blobs: list[str] = []
    for job_id, project_id in session.execute(query.limit(100)).all():
        blobs += Jobs(session, project_id).forget(job_id)
    return blobs
