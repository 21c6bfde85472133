"""The file of an announced dataset, where the gateway itself takes it: to disk as it comes."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api.datasets import arrivals
from api.wiring import ProjectDep, WiringDep
from core.errors import PayloadTooLarge
from core.tables import Dataset


@dataclass
class Content:
    """A file that has arrived whole, and the dataset it is of."""

    dataset: Dataset
    path: Path
    sha256: str


def the_awaited(dataset_id: str, wiring: WiringDep, project_id: ProjectDep) -> Dataset:
    """Look whether a file is waited for, before a byte of it is read."""
    return arrivals.awaited(wiring, project_id, dataset_id)


async def receive(
    request: Request, wiring: WiringDep, dataset: Annotated[Dataset, Depends(the_awaited)]
) -> AsyncIterator[Content]:
    """Take a file in; it is gone again when the route has returned.

    Raises:
        WrongBytes: It is not what was announced.
        PayloadTooLarge: It goes on after the last announced byte.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal():
        arrivals.check_bytes(dataset, int(declared[:20]))
    with tempfile.NamedTemporaryFile(dir=wiring.spool.room()) as spool:
        count, sha256 = await _spooled(request, dataset, spool)
        arrivals.check_bytes(dataset, count, sha256)
        yield Content(dataset, Path(spool.name), sha256)


async def _spooled(request: Request, dataset: Dataset, spool: IO[bytes]) -> tuple[int, str]:
    count, sha256 = 0, hashlib.sha256()
    async for chunk in request.stream():
        count += len(chunk)
        if count > dataset.bytes:
            raise PayloadTooLarge(f"{dataset.bytes:,} bytes were announced of {dataset.id}, and more come.")
        sha256.update(chunk)
        await run_in_threadpool(spool.write, chunk)
    spool.flush()
    return count, sha256.hexdigest()


#: scope="function" removes the file before the answer is sent, not after it.
ContentDep = Annotated[Content, Depends(receive, scope="function")]
