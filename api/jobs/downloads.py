"""Files that jobs leave, on their way out."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from api.strict import StrictRoute
from api.watching import is_known
from api.wiring import ProjectDep, WiringDep
from core.errors import Unavailable
from core.jobs import Jobs
from core.unit import reading

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

#: A callback may name a file as it likes; a header may not be written by it.
ODD = re.compile(r"[^A-Za-z0-9._-]")
TYPES = {"json": "application/json", "hdf5": "application/x-hdf5"}


@router.get("/{job_id}/artifacts/{name}", response_class=Response, operation_id="get_artifact")
def download(
    job_id: str,
    name: str,
    wiring: WiringDep,
    project_id: ProjectDep,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Download a file; its ETag is its sha256."""
    with reading(wiring.sessions) as session:
        jobs = Jobs(session, project_id)
        found = jobs.artifact(jobs.get(job_id).id, name)
    headers = {"ETag": f'"{found.sha256}"', "Cache-Control": "no-cache"}
    if is_known(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Length": str(found.bytes),
        "Content-Disposition": f'attachment; filename="{ODD.sub("_", found.name)}"',
        "X-Content-Type-Options": "nosniff",
    }
    try:
        pieces = wiring.blobs.stream(found.blob)
    except FileNotFoundError as error:
        raise Unavailable(f"The bytes of {name!r} cannot be found in storage just now.") from error
    return StreamingResponse(pieces, headers=headers, media_type=TYPES.get(found.format, "application/octet-stream"))
