"""Large files on their way to where the service says: a request for the whole, or one for each part."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from trainyard.errors import BadFile, Refused, TrainyardError, Unreachable

#: Told how many bytes have gone or come so far.
Moved = Callable[[int], None]

#: A larger file is announced first and sent to the storage itself, where the storage takes it.
ANNOUNCED_BYTES = 8 * 2**20
_CHUNK = 2**20
_TRIES = 4
_PAUSE_SECONDS = 0.25
_PASSING = frozenset({429, 500, 502, 503, 504})


def described(path: Path) -> tuple[int, str]:
    """Count and hash a file.

    Raises:
        BadFile: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from error


def send_parts(http: httpx.Client, path: Path, upload: Mapping[str, Any], moved: Moved | None) -> list[dict[str, Any]]:
    """Send each part of a file to its own URL; return what proves that they arrived.

    Raises:
        Refused: The storage did not take one.
        Unreachable: The storage does not answer.
    """
    proofs = []
    for part in upload["parts"]:
        start = (part["number"] - 1) * upload["part_bytes"]
        answer = send(http, part, path, start, moved)
        if "ETag" not in answer.headers:
            raise TrainyardError(f"The storage took part {part['number']} of {path.name} and did not say its ETag.")
        proofs.append({"number": part["number"], "etag": answer.headers["ETag"]})
    return proofs


def send(
    http: httpx.Client, request: Mapping[str, Any], path: Path, start: int = 0, moved: Moved | None = None
) -> httpx.Response:
    """Send one stretch of a file, again from its beginning where it broke off.

    Args:
        http: What to send it with; it carries the key only if it speaks to the service.
        request: `method`, `url` and `headers`, which name the Content-Length.
        path: The file.
        start: Where the stretch begins.
        moved: Told how much of the whole file has gone.

    Raises:
        Refused: It was not taken.
        Unreachable: Nobody answers.
    """
    size = int(request["headers"]["Content-Length"])
    attempt = 0
    while True:
        attempt += 1
        try:
            body = pieces(path, start, size, moved)
            answer = http.request(request["method"], request["url"], headers=request["headers"], content=body)
        except httpx.TransportError as error:
            if attempt == _TRIES:
                raise Unreachable(
                    f"{path.name} cannot be sent to {httpx.URL(request['url']).host} ({error})."
                ) from error
        else:
            if not answer.is_error:
                return answer
            if attempt == _TRIES or answer.status_code not in _PASSING:
                raise refusal(answer)
        time.sleep(_PAUSE_SECONDS * 2**attempt)


def pieces(path: Path, start: int, size: int, moved: Moved | None) -> Iterator[bytes]:
    """Read a stretch of a file piece by piece."""
    end = start + size
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(min(_CHUNK, end - file.tell())):
            yield piece
            if moved:
                moved(file.tell())


def refusal(answer: httpx.Response) -> Refused:
    """Read an answer that says no, from the service or from a storage that speaks another language."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    known = problem if isinstance(problem, dict) else {"detail": answer.text[:500]}
    return Refused(answer.status_code, known)
