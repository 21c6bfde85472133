"""Datasets whose files do not pass through the gateway: announced, uploaded, then looked at."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from api.datasets.schemas import AnnouncedOut, ArrivedPart, CompleteIn, DatasetIn, DatasetOut, PartOut, UploadOut
from api.idempotency import Answer
from api.uploads import wrong
from api.wiring import Wiring
from core.blobs import StorageFailed, dataset_key, digest, upload_key
from core.buckets import MAX_PARTS, Bucket
from core.datasets import READY, Datasets
from core.errors import PayloadTooLarge, ServiceError, StateConflict, UploadIncomplete, WrongBytes
from core.formats import format_of, inspect
from core.ids import new_id
from core.tables import Dataset, Upload
from core.unit import Unit, reading, unit_of_work
from core.uploads import Uploads


def announce(unit: Unit, wiring: Wiring, project_id: str, body: DatasetIn, base_url: str) -> Answer:
    """Store a dataset whose file is to come, and say where it goes.

    Raises:
        PayloadTooLarge: It is to be larger than is taken.
        UnsupportedFormat: It is of no known format.
        Unprocessable: The name is no name.
    """
    limit = wiring.settings.max_upload_bytes
    if body.bytes > limit:
        fault = f"`bytes` is {body.bytes:,}; a file may have {limit:,}."
        raise PayloadTooLarge(fault, errors=[{"pointer": "/bytes", "detail": fault}])
    if not body.name.isprintable():
        raise wrong("name", "A name has printable characters alone.")
    dataset = Dataset(id=new_id("ds"), project_id=project_id, name=body.name, format=format_of(f".{body.format}"))
    dataset.bytes, dataset.sha256, dataset.blob = body.bytes, body.sha256 or "", upload_key(project_id, dataset.id)
    told, upload = _way(unit, wiring, dataset, base_url)
    Uploads(unit.session, project_id).announce(dataset, upload, wiring.settings.upload_expire_seconds)
    told.expires_at = upload.expires_at
    shown = DatasetOut.model_validate(dataset).model_dump()
    answer = AnnouncedOut(**shown, upload=told).model_dump(mode="json")
    answer["upload"] = told.model_dump(mode="json", exclude_none=True)
    return Answer(201, answer, {"Location": f"/v1/datasets/{dataset.id}"})


def _way(unit: Unit, wiring: Wiring, dataset: Dataset, base_url: str) -> tuple[UploadOut, Upload]:
    bucket, settings = wiring.bucket, wiring.settings
    if bucket is None:
        url = f"{base_url}v1/datasets/{dataset.id}/content"
        return UploadOut(method="PUT", url=url, headers={}), Upload()
    if dataset.bytes > settings.upload_multipart_bytes:
        return _in_parts(unit, bucket, dataset, settings.upload_part_bytes, settings.upload_expire_seconds)
    url = bucket.put_url(dataset.blob, dataset.bytes, settings.upload_expire_seconds)
    return UploadOut(method="PUT", url=url, headers=_length(dataset.bytes)), Upload()


def _in_parts(
    unit: Unit, bucket: Bucket, dataset: Dataset, part_bytes: int, seconds: float
) -> tuple[UploadOut, Upload]:
    part_bytes = max(part_bytes, ceil(dataset.bytes / MAX_PARTS))
    upload_id = bucket.begin(dataset.blob)
    unit.on_rollback(partial(bucket.abort, dataset.blob, upload_id))
    parts = []
    for number, start in enumerate(range(0, dataset.bytes, part_bytes), 1):
        size = min(part_bytes, dataset.bytes - start)
        url = bucket.part_url(dataset.blob, upload_id, number, size, seconds)
        parts.append(PartOut(number=number, url=url, headers=_length(size)))
    return UploadOut(part_bytes=part_bytes, parts=parts), Upload(multipart=upload_id, part_bytes=part_bytes)


def _length(size: int) -> dict[str, str]:
    # It is part of what is signed: the storage takes so many bytes and no others.
    return {"Content-Length": str(size)}


def awaited(wiring: Wiring, project_id: str, dataset_id: str) -> Dataset:
    """Read a dataset whose file is to come through the gateway after all.

    Raises:
        NotFound: There is no such dataset.
        StateConflict: It has its file, or the file is to come in parts.
        UploadExpired: It took too long.
    """
    with reading(wiring.sessions) as session:
        dataset, upload = Uploads(session, project_id).awaited(dataset_id)
    if upload.multipart:
        raise StateConflict(f"The file of {dataset_id} comes in parts, each by the URL that was signed for it.")
    return dataset


def check_bytes(dataset: Dataset, size: int, sha256: str | None = None) -> None:
    """Hold what has come against what was announced.

    Raises:
        WrongBytes: It is something else.
    """
    if size != dataset.bytes:
        raise WrongBytes(f"The upload of {dataset.id} has {size:,} bytes; {dataset.bytes:,} were announced.")
    if sha256 and dataset.sha256 and sha256 != dataset.sha256:
        raise WrongBytes(f"The upload of {dataset.id} has the sha256 {sha256}; {dataset.sha256} was announced.")


def complete(wiring: Wiring, project_id: str, dataset_id: str, body: CompleteIn | None) -> Answer:
    """Look at an upload that has arrived as at any other, and make its dataset ready.

    Raises:
        NotFound: There is no such dataset.
        UploadIncomplete: The storage does not have all of it.
        UploadExpired: It took too long.
        WrongBytes: It is not what was announced.
        BadDataset: It is damaged, dangerous or not made of numbers.
        Unprocessable: The parts are named wrongly.
    """
    with reading(wiring.sessions) as session:
        dataset = Datasets(session, project_id).get(dataset_id)
        if dataset.state == READY:
            return _shown(dataset)
        dataset, upload = Uploads(session, project_id).awaited(dataset_id)
    try:
        with _standing(wiring, project_id, dataset, upload, body.parts if body else None) as blob:
            sha256, arrays = _inspected(wiring, dataset, blob)
            return _shown(_settled(wiring, dataset, blob, sha256, arrays))
    except StateConflict:
        # Of two who complete at once the second hears what the first has heard.
        with reading(wiring.sessions) as session:
            if (found := Datasets(session, project_id).get(dataset_id)).state == READY:
                return _shown(found)
        raise


def _shown(dataset: Dataset) -> Answer:
    return Answer(200, DatasetOut.model_validate(dataset).model_dump(mode="json"))


@contextmanager
def _standing(
    wiring: Wiring, project_id: str, dataset: Dataset, upload: Upload, parts: list[ArrivedPart] | None
) -> Iterator[str]:
    """Put the bytes where nobody can write any more, for as long as they are looked at, or for good."""
    if upload.multipart and wiring.bucket:
        _join(wiring, wiring.bucket, dataset, upload, parts)
        try:
            yield dataset.blob
        except ServiceError:
            # Its parts are used up: nobody can send better ones.
            with unit_of_work(wiring.sessions, wiring.queue) as unit:
                Uploads(unit.session, project_id).give_up(dataset.id)
            raise
        return
    if parts is not None:
        raise wrong("parts", "This upload is of one piece; name no parts.")
    blob = _copied(wiring, project_id, dataset)
    try:
        yield blob
    except BaseException:
        with suppress(StorageFailed):
            wiring.blobs.delete(blob)
        raise


def _copied(wiring: Wiring, project_id: str, dataset: Dataset) -> str:
    size = wiring.blobs.size(dataset.blob)
    if size is None:
        raise UploadIncomplete(f"The file of {dataset.id} has not been uploaded; PUT it to the URL that was given.")
    check_bytes(dataset, size)
    # The URL for the upload is good for some time yet, so what it writes to is not what is kept; and of two
    # who complete at once neither may overwrite what the other has looked at.
    blob = f"{dataset_key(project_id, dataset.id)}.{new_id('v')}"
    try:
        wiring.blobs.copy(dataset.blob, blob)
    except FileNotFoundError as error:
        raise UploadIncomplete(f"The file of {dataset.id} has just been taken away.") from error
    return blob


def _join(wiring: Wiring, bucket: Bucket, dataset: Dataset, upload: Upload, parts: list[ArrivedPart] | None) -> None:
    count = ceil(dataset.bytes / (upload.part_bytes or dataset.bytes))
    etags = _etags(parts, count)
    arrived = bucket.parts(dataset.blob, upload.multipart or "")
    if arrived is None:
        # Joined by an earlier call, whose answer or whose gateway was lost.
        if wiring.blobs.size(dataset.blob) is None:
            raise UploadIncomplete(f"The parts of {dataset.id} are gone; begin another upload with POST /v1/datasets.")
        return
    for index, (number, etag) in enumerate(etags.items()):
        if number not in arrived:
            raise UploadIncomplete(f"Part {number} of {count} of {dataset.id} has not been uploaded.")
        if (kept := arrived[number][0].strip('"')) != etag:
            raise wrong(f"parts/{index}/etag", f"Part {number} has the ETag {kept} in the storage, not {etag[:80]}.")
    check_bytes(dataset, sum(size for _, size in arrived.values()))
    bucket.join(dataset.blob, upload.multipart or "", etags)


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


def _inspected(wiring: Wiring, dataset: Dataset, blob: str) -> tuple[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=wiring.spool.room()) as folder:
        path = Path(folder) / "file"
        try:
            wiring.blobs.get_file(blob, path)
        except FileNotFoundError as error:
            raise UploadIncomplete(f"The file of {dataset.id} has just been taken away.") from error
        size, sha256 = digest(path)
        check_bytes(dataset, size, sha256)
        return sha256, inspect(path, dataset.format, wiring.settings.max_unpacked_bytes)


def _settled(wiring: Wiring, dataset: Dataset, blob: str, sha256: str, arrays: dict[str, Any]) -> Dataset:
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        ready = Uploads(unit.session, dataset.project_id).settle(dataset.id, blob, sha256, arrays)
        if blob != dataset.blob:
            unit.after_commit(partial(wiring.blobs.delete, dataset.blob))
    return ready
