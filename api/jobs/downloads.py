"""Files that jobs leave, on their way out: by a signed URL where the storage takes downloads, else through here."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from api.strict import StrictRoute
from api.watching import is_known
from api.wiring import ProjectDep, Wiring, WiringDep
from core.errors import RangeRefused, Unavailable
from core.jobs import Jobs
from core.tables import Artifact
from core.unit import reading

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

#: A callback may name a file as it likes; a header may not be written by it.
ODD = re.compile(r"[^A-Za-z0-9._-]")
TYPES = {"json": "application/json", "hdf5": "application/x-hdf5"}
OTHER = "application/octet-stream"
#: One range; a list of them is answered with the whole file, as every server may.
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@router.get(
    "/{job_id}/artifacts/{name}",
    response_class=Response,
    operation_id="get_artifact",
    responses={206: {"description": "The range that was asked for."}, 303: {"description": "Where the file is."}},
)
def download(
    job_id: str,
    name: str,
    wiring: WiringDep,
    project_id: ProjectDep,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """Download a file, by a redirect to object storage where it serves clients; the ETag is the sha256."""
    with reading(wiring.sessions) as session:
        jobs = Jobs(session, project_id)
        found = jobs.artifact(jobs.get(job_id).id, name)
    etag = f'"{found.sha256}"'
    if is_known(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})
    if wiring.bucket:
        return _redirect(wiring, found)
    return _stream(wiring, found, _bounds(wanted if if_range in (None, etag) else None, found))


def _redirect(wiring: Wiring, found: Artifact) -> Response:
    """Point at the storage, which knows nothing of our keys: the URL is good for one file and a short time."""
    if wiring.bucket is None or not wiring.blobs.exists(found.blob):
        raise _lost(found)
    seconds = wiring.settings.download_expire_seconds
    url = wiring.bucket.get_url(found.blob, seconds, _filename(found), TYPES.get(found.format, OTHER))
    return Response(status_code=303, headers={"Location": url, "Cache-Control": "no-store"})


def _stream(wiring: Wiring, found: Artifact, bounds: tuple[int, int] | None) -> Response:
    start, end = bounds or (0, found.bytes)
    headers = {
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "no-cache",
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": f'attachment; filename="{_filename(found)}"',
        "X-Content-Type-Options": "nosniff",
    }
    if bounds:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.bytes}"
    try:
        pieces = wiring.blobs.stream(found.blob, start, end if bounds else None)
    except FileNotFoundError as error:
        raise _lost(found) from error
    return StreamingResponse(pieces, 206 if bounds else 200, headers, TYPES.get(found.format, OTHER))


def _bounds(wanted: str | None, found: Artifact) -> tuple[int, int] | None:
    """Read a Range header as first byte and the one after the last; None means the whole file.

    Raises:
        RangeRefused: The file ends before it.
    """
    match = RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(found.bytes - int(match[2]), 0), found.bytes
    else:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else found.bytes, found.bytes)
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        raise RangeRefused(f"{found.name!r} has {found.bytes:,} bytes, and the range {wanted!r} begins after them.")
    return start, end


def _filename(found: Artifact) -> str:
    return ODD.sub("_", found.name)


def _lost(found: Artifact) -> Unavailable:
    return Unavailable(f"The bytes of {found.name!r} cannot be found in storage just now.")
