"""How a job is watched: an ETag that changes when the job does, a hint when to ask again, and one look for all.

`looks` shares reads among those who ask at the same time, `watch` tells those who wait for a change,
`polls` answers GET /v1/jobs/{job_id} with both, `shortcut` puts that before FastAPI, `streams` sends events.
"""

from datetime import UTC, datetime

from core.looks import Mark
from core.tables import Job, JobState

#: Seconds to wait before asking again, by how long a job has been going on.
HINTS = ((60, 1), (600, 2), (3_600, 5))
SLOWEST = 15


def etag(job: Job | Mark) -> str:
    """Write a job's version as a strong ETag."""
    return f'"{job.version}"'


def is_known(header: str | None, tag: str) -> bool:
    """Say whether If-None-Match names what we would send."""
    if header is None:
        return False
    known = [each.strip().removeprefix("W/") for each in header.split(",")]
    return tag in known or "*" in known


def hints(job: Job | Mark) -> dict[str, str]:
    """Write the headers of a job's answer."""
    headers = {"ETag": etag(job), "Cache-Control": "no-cache"}
    if not job.is_terminal:
        headers["Retry-After"] = str(_seconds(job))
    return headers


def _seconds(job: Job | Mark) -> int:
    if job.state == JobState.PAUSED:
        return SLOWEST
    age = (datetime.now(UTC) - (job.started_at or job.created_at)).total_seconds()
    return next((seconds for limit, seconds in HINTS if age < limit), SLOWEST)
