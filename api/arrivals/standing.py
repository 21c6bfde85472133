"""Bytes that a client has sent: put where it can write no more, and held against what was announced."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

from api.arrivals.schemas import ArrivedPart
from api.uploads import wrong
from api.wiring import Wiring
from core.blobs import StorageFailed
from core.buckets import Bucket
from core.errors import ServiceError, UploadIncomplete, WrongBytes
from core.ids import new_id
from core.tables import Arrival, Dataset, WeightsFile
from core.unit import unit_of_work
from core.uploads import Kind, Uploads

Row = Dataset | WeightsFile


def check_bytes(row: Row, size: int, sha256: str | None = None) -> None:
    """Hold what has come against what was announced.

    Raises:
        WrongBytes: It is something else.
    """
    if size != row.bytes:
        raise WrongBytes(f"The upload of {row.id} has {size:,} bytes; {row.bytes:,} were announced.")
    if sha256 and row.sha256 and sha256 != row.sha256:
        raise WrongBytes(f"The upload of {row.id} has the sha256 {sha256}; {row.sha256} was announced.")


@contextmanager
def standing(
    wiring: Wiring, kind: Kind[Any], row: Row, upload: Arrival, key: str, parts: list[ArrivedPart] | None
) -> Iterator[str]:
    """Put the bytes where nobody can write any more, for as long as they are looked at, or for good.

    Args:
        wiring: Where they lie.
        kind: Of what they are.
        row: What they are of.
        upload: How they come.
        key: Where they go, unless they came in parts; each call adds to it.
        parts: What the client says of them.

    Raises:
        UploadIncomplete: The storage does not have all of them.
        WrongBytes: They are more or fewer than announced.
        Unprocessable: The parts are named wrongly.
    """
    if upload.multipart and wiring.bucket:
        _join(wiring, wiring.bucket, kind, row, upload, parts)
        try:
            yield row.blob
        except ServiceError:
            # Its parts are used up: nobody can send better ones.
            with unit_of_work(wiring.sessions, wiring.queue) as unit:
                Uploads(unit.session, row.project_id, kind).give_up(row.id)
            raise
        return
    if parts is not None:
        raise wrong("parts", "This upload is of one piece; name no parts.")
    blob = _copied(wiring, row, key)
    try:
        yield blob
    except BaseException:
        with suppress(StorageFailed):
            wiring.blobs.delete(blob)
        raise


def _copied(wiring: Wiring, row: Row, key: str) -> str:
    size = wiring.blobs.size(row.blob)
    if size is None:
        raise UploadIncomplete(f"The file of {row.id} has not been uploaded; PUT it to the URL that was given.")
    check_bytes(row, size)
    # The URL for the upload is good for some time yet, so what it writes to is not what is kept; and of two
    # who complete at once neither may overwrite what the other has looked at.
    blob = f"{key}.{new_id('v')}"
    try:
        wiring.blobs.copy(row.blob, blob)
    except FileNotFoundError as error:
        raise UploadIncomplete(f"The file of {row.id} has just been taken away.") from error
    return blob


def _join(
    wiring: Wiring, bucket: Bucket, kind: Kind[Any], row: Row, upload: Arrival, parts: list[ArrivedPart] | None
) -> None:
    count = ceil(row.bytes / (upload.part_bytes or row.bytes))
    etags = _etags(parts, count)
    arrived = bucket.parts(row.blob, upload.multipart or "")
    if arrived is None:
        # Joined by an earlier call, whose answer or whose gateway was lost.
        if wiring.blobs.size(row.blob) is None:
            raise UploadIncomplete(f"The parts of {row.id} are gone; begin another upload with POST {kind.path}.")
        return
    for index, (number, etag) in enumerate(etags.items()):
        if number not in arrived:
            raise UploadIncomplete(f"Part {number} of {count} of {row.id} has not been uploaded.")
        if (kept := arrived[number][0].strip('"')) != etag:
            raise wrong(f"parts/{index}/etag", f"Part {number} has the ETag {kept} in the storage, not {etag[:80]}.")
    check_bytes(row, sum(size for _, size in arrived.values()))
    bucket.join(row.blob, upload.multipart or "", etags)


def _etags(parts: list[ArrivedPart] | None, count: int) -> dict[int, str]:
    if parts is None:
        raise wrong("parts", f"This upload came in {count} parts; name each with its number and its ETag.")
    etags: dict[int, str] = {}
    for index, part in enumerate(parts):
        if part.number > count or part.number in etags:
            twice = "is there twice" if part.number in etags else f"is none of 1 to {count}"
            raise wrong(f"parts/{index}/number", f"Part {part.number} {twice}.")
        etags[part.number] = part.etag.strip('"')
    if missing := [number for number in range(1, count + 1) if number not in etags]:
        raise wrong("parts", f"Part {missing[0]} of {count} is not named.")
    return etags
