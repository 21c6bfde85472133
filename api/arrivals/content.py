"""A file that was announced, where the gateway itself takes it: to disk as it comes."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api.arrivals.standing import Row, check_bytes
from api.wiring import WiringDep
from core.errors import PayloadTooLarge

#: What a reader of the OpenAPI document is told of the body, which no schema reads.
RAW = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}


@dataclass
class Content:
    """A file that has arrived whole, and what it is of."""

    row: Row
    path: Path
    sha256: str


def receiving(awaited: Callable[..., Row]) -> Any:
    """Make what takes a file in; it is gone again when the route has returned, before the answer is sent.

    Args:
        awaited: A dependency that looks whether a file is waited for, before a byte of it is read.
    """

    async def receive(
        request: Request, wiring: WiringDep, row: Annotated[Row, Depends(awaited)]
    ) -> AsyncIterator[Content]:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal():
            check_bytes(row, int(declared[:20]))
        with tempfile.NamedTemporaryFile(dir=wiring.spool.room()) as spool:
            count, sha256 = await _spooled(request, row, spool)
            check_bytes(row, count, sha256)
            yield Content(row, Path(spool.name), sha256)

    return Depends(receive, scope="function")


async def _spooled(request: Request, row: Row, spool: IO[bytes]) -> tuple[int, str]:
    count, sha256 = 0, hashlib.sha256()
    async for chunk in request.stream():
        count += len(chunk)
        if count > row.bytes:
            raise PayloadTooLarge(f"{row.bytes:,} bytes were announced of {row.id}, and more come.")
        sha256.update(chunk)
        await run_in_threadpool(spool.write, chunk)
    spool.flush()
    return count, sha256.hexdigest()
