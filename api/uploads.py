"""Multipart uploads: to disk as they come, counted and hashed on the way, never in memory."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from api.strict import check_length, too_large
from api.wiring import ProjectDep, WiringDep
from core.errors import BadUpload, Unprocessable, UnsupportedFormat

MAX_PARTS = 10
MAX_FIELD_BYTES = 1_000


@dataclass
class Upload:
    """A file that has arrived whole, and the fields that came with it."""

    path: Path
    filename: str = ""
    bytes: int = 0
    sha256: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def take(self, *known: str) -> tuple[str | None, ...]:
        """Return fields by name.

        Raises:
            Unprocessable: There is another one.
        """
        for name in self.fields:
            if name not in known:
                raise wrong(name, f"There is no field {name[:80]!r} here; there is {', '.join(('file', *known))}.")
        return tuple(self.fields.get(name) for name in known)


def wrong(name: str, fault: str) -> Unprocessable:
    """Point at a field."""
    return Unprocessable(fault, errors=[{"pointer": f"/{name[:80]}", "detail": fault}])


class _Receiver:
    """What the parser calls: a part named "file" goes to disk, any other is a short text."""

    def __init__(self, spool: IO[bytes], upload: Upload) -> None:
        self.spool = spool
        self.upload = upload
        self.sha256 = hashlib.sha256()
        self.names: list[str] = []
        self.is_file = self.is_done = False
        self.header = self.value = self.text = b""
        self.disposition: dict[bytes, bytes] = {}

    def on_part_begin(self) -> None:
        self.disposition, self.text, self.is_file = {}, b"", False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = parse_options_header(self.value)[1]
        self.header = self.value = b""

    def on_headers_finished(self) -> None:
        name = self.disposition.get(b"name", b"").decode(errors="replace")
        if not name or len(self.names) >= MAX_PARTS:
            raise BadUpload(f"Every part needs a name, and there may be {MAX_PARTS} of them.")
        if name in self.names:
            raise wrong(name, f"The part {name[:80]!r} is there twice; send it once.")
        self.names.append(name)
        self.is_file = name == "file"
        if self.is_file:
            self.upload.filename = self.disposition.get(b"filename", b"").decode(errors="replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self.is_file:
            self.spool.write(piece)
            self.sha256.update(piece)
            self.upload.bytes += len(piece)
            return
        self.text += piece
        if len(self.text) > MAX_FIELD_BYTES:
            raise wrong(self.names[-1], f"This field may have {MAX_FIELD_BYTES:,} bytes.")

    def on_part_end(self) -> None:
        if not self.is_file:
            self.upload.fields[self.names[-1]] = self.text.decode(errors="replace")

    def on_end(self) -> None:
        self.is_done = True

    def finish(self) -> None:
        if not self.is_done:
            raise BadUpload("The upload breaks off before its last boundary; send it again.")
        if "file" not in self.names:
            raise wrong("file", "The upload holds no part named `file`.")
        self.spool.flush()
        self.upload.sha256 = self.sha256.hexdigest()


def _parser(request: Request, receiver: _Receiver) -> MultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnsupportedFormat("Send the file as multipart/form-data, in a part named `file`.")
    names = (
        "on_part_begin", "on_part_data", "on_part_end", "on_header_field", "on_header_value",
        "on_header_end", "on_headers_finished", "on_end",
    )  # fmt: skip
    return MultipartParser(options[b"boundary"], {name: getattr(receiver, name) for name in names})  # type: ignore[arg-type]


async def receive(request: Request, wiring: WiringDep, project_id: ProjectDep) -> AsyncIterator[Upload]:
    """Take an upload in; the file is gone again when the route has returned.

    Raises:
        UnsupportedFormat: It is not multipart.
        PayloadTooLarge: It is larger than the gateway takes.
        BadUpload: It is malformed, or was cut short.
    """
    limit = wiring.settings.max_upload_bytes
    check_length(request, limit)
    with tempfile.NamedTemporaryFile(dir=wiring.spool.room()) as spool:
        receiver = _Receiver(spool, Upload(Path(spool.name)))
        await _read(request, _parser(request, receiver), limit)
        receiver.finish()
        yield receiver.upload


async def _read(request: Request, parser: MultipartParser, limit: int) -> None:
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > limit:
            raise too_large(limit)
        try:
            await run_in_threadpool(parser.write, chunk)
        except FormParserError as error:
            raise BadUpload("The multipart body is malformed; let an HTTP library write it.") from error


#: scope="function" removes the file before the answer is sent, not after it.
UploadDep = Annotated[Upload, Depends(receive, scope="function")]
