"""What is announced, sent past the gateway, and looked at when it has arrived: the same for all that is uploaded."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Generic

from pydantic import BaseModel

from api.arrivals.schemas import CompleteIn, PartOut, UploadOut
from api.arrivals.standing import check_bytes, standing
from api.idempotency import Answer
from api.uploads import wrong
from api.wiring import Wiring
from core.blobs import digest, upload_key
from core.buckets import MAX_PARTS, Bucket
from core.errors import PayloadTooLarge, StateConflict, UploadIncomplete
from core.files import T
from core.settings import Settings
from core.tables import READY
from core.unit import Unit, reading, unit_of_work
from core.uploads import Kind, Uploads


@dataclass(frozen=True)
class Arrivals(Generic[T]):
    """How files of one kind arrive."""

    kind: Kind[T]
    #: Says where a project's file lives.
    key: Callable[[str, str], str]
    #: What goes out about a row.
    out: type[BaseModel]
    #: Looks at a file that has arrived, and tells what it says of itself, by column.
    inspect: Callable[[T, Path, Settings], Mapping[str, Any]]

    def announce(self, unit: Unit, wiring: Wiring, row: T, base_url: str) -> Answer:
        """Store something whose file is to come, and say where the file goes.

        Raises:
            PayloadTooLarge: It is to be larger than is taken.
            Unprocessable: The name is no name.
        """
        limit = wiring.settings.max_upload_bytes
        if row.bytes > limit:
            fault = f"`bytes` is {row.bytes:,}; a file may have {limit:,}."
            raise PayloadTooLarge(fault, errors=[{"pointer": "/bytes", "detail": fault}])
        if row.name and not row.name.isprintable():
            raise wrong("name", "A name has printable characters alone.")
        row.blob = upload_key(row.project_id, row.id)
        told = self._way(unit, wiring, row, base_url)
        parts = {"part_bytes": told.part_bytes, "multipart": told.upload_id}
        upload = self._uploads(unit.session, row).announce(row, parts, wiring.settings.upload_expire_seconds)
        told.expires_at = upload.expires_at
        body = self._shown(row) | {"upload": told.model_dump(mode="json", exclude_none=True)}
        return Answer(201, body, {"Location": f"{self.kind.path}/{row.id}"})

    def awaited(self, wiring: Wiring, project_id: str, row_id: str) -> T:
        """Read something whose file is to come through the gateway after all.

        Raises:
            NotFound: There is no such thing.
            StateConflict: It has its file, or the file is to come in parts.
            UploadExpired: It took too long.
        """
        with reading(wiring.sessions) as session:
            row, upload = Uploads(session, project_id, self.kind).awaited(row_id)
        if upload.multipart:
            raise StateConflict(f"The file of {row_id} comes in parts, each by the URL that was signed for it.")
        return row

    def complete(self, wiring: Wiring, project_id: str, row_id: str, body: CompleteIn | None) -> Answer:
        """Look at an upload that has arrived as at any other, and make what it is of ready.

        Raises:
            NotFound: There is no such thing.
            UploadIncomplete: The storage does not have all of it.
            UploadExpired: It took too long.
            WrongBytes: It is not what was announced.
            BadDataset, BadWeights: It is damaged, dangerous, or something else.
            Unprocessable: The parts are named wrongly.
        """
        with reading(wiring.sessions) as session:
            uploads = Uploads(session, project_id, self.kind)
            row = uploads.get(row_id)
            if row.state == READY:
                return Answer(200, self._shown(row))
            row, upload = uploads.awaited(row_id)
        try:
            parts, key = body.parts if body else None, self.key(project_id, row_id)
            with standing(wiring, self.kind, row, upload, key, parts) as blob:
                sha256, found = self._inspected(wiring, row, blob)
                return Answer(200, self._shown(self._settled(wiring, row, blob, sha256, found)))
        except StateConflict:
            # Of two who complete at once the second hears what the first has heard.
            with reading(wiring.sessions) as session:
                if (other := Uploads(session, project_id, self.kind).get(row_id)).state == READY:
                    return Answer(200, self._shown(other))
            raise

    def remove(self, unit: Unit, wiring: Wiring, project_id: str, row_id: str) -> None:
        """Delete something, and its bytes once the row is gone; what then cannot be deleted is swept up later.

        Raises:
            NotFound: There is no such thing.
            DatasetInUse, WeightsInUse: A live job needs it.
        """
        upload = Uploads(unit.session, project_id, self.kind).find(row_id)
        blob = self.kind.files(unit.session, project_id).remove(row_id)
        unit.after_commit(partial(wiring.blobs.delete, blob))
        if wiring.bucket and upload and upload.multipart:
            unit.after_commit(partial(wiring.bucket.abort, blob, upload.multipart))

    def _uploads(self, session: Any, row: T) -> Uploads[T]:
        return Uploads(session, row.project_id, self.kind)

    def _shown(self, row: T) -> dict[str, Any]:
        return self.out.model_validate(row).model_dump(mode="json")

    def _way(self, unit: Unit, wiring: Wiring, row: T, base_url: str) -> UploadOut:
        bucket, settings = wiring.bucket, wiring.settings
        if bucket is None:
            return UploadOut(method="PUT", url=f"{base_url.rstrip('/')}{self.kind.path}/{row.id}/content", headers={})
        if row.bytes > settings.upload_multipart_bytes:
            return _in_parts(unit, bucket, row.blob, row.bytes, settings)
        url = bucket.put_url(row.blob, row.bytes, settings.upload_expire_seconds)
        return UploadOut(method="PUT", url=url, headers=_length(row.bytes))

    def _inspected(self, wiring: Wiring, row: T, blob: str) -> tuple[str, Mapping[str, Any]]:
        with tempfile.TemporaryDirectory(dir=wiring.spool.room()) as folder:
            path = Path(folder) / "file"
            try:
                wiring.blobs.get_file(blob, path)
            except FileNotFoundError as error:
                raise UploadIncomplete(f"The file of {row.id} has just been taken away.") from error
            size, sha256 = digest(path)
            check_bytes(row, size, sha256)
            return sha256, self.inspect(row, path, wiring.settings)

    def _settled(self, wiring: Wiring, row: T, blob: str, sha256: str, found: Mapping[str, Any]) -> T:
        with unit_of_work(wiring.sessions, wiring.queue) as unit:
            ready = self._uploads(unit.session, row).settle(row.id, blob, sha256, found)
            if blob != row.blob:
                unit.after_commit(partial(wiring.blobs.delete, row.blob))
        return ready


def _in_parts(unit: Unit, bucket: Bucket, blob: str, size: int, settings: Settings) -> UploadOut:
    part_bytes = max(settings.upload_part_bytes, ceil(size / MAX_PARTS))
    upload_id = bucket.begin(blob)
    unit.on_rollback(partial(bucket.abort, blob, upload_id))
    parts = []
    for number, start in enumerate(range(0, size, part_bytes), 1):
        length = min(part_bytes, size - start)
        url = bucket.part_url(blob, upload_id, number, length, settings.upload_expire_seconds)
        parts.append(PartOut(number=number, url=url, headers=_length(length)))
    return UploadOut(part_bytes=part_bytes, parts=parts, upload_id=upload_id)


def _length(size: int) -> dict[str, str]:
    # It is part of what is signed: the storage takes so many bytes and no others.
    return {"Content-Length": str(size)}
