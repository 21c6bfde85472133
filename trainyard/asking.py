"""How a request is made, tried again and waited for: what the sync and the async client have in common."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from trainyard.calls import Call, Json
from trainyard.errors import BadFile, Unreachable
from trainyard.transfers import Moved, refusal

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
DEFAULT_URL = "http://127.0.0.1:8000"
PATIENCE = httpx.Timeout(60, connect=5)

_TRIES = 4
_PASSING = frozenset({429, 503})
_PAUSE_SECONDS = 0.25
_POLL_SECONDS = (0.1, 1.0)
#: How long the service may hold an answer back; less than what silent connections are cut off after.
_WAIT_SECONDS = 25


def address(url: str | None) -> str:
    """The address given, `TRAINYARD_URL`, or else the local yard."""
    return (url or os.environ.get("TRAINYARD_URL") or DEFAULT_URL).rstrip("/")


def credentials(api_key: str | None) -> dict[str, str]:
    """The headers that carry the key given, or else `TRAINYARD_API_KEY`, or none."""
    key = api_key or os.environ.get("TRAINYARD_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


class Asking:
    """One call, as often as it is tried: every try is the same request, whole and with the same key.

    Args:
        call: What is asked.
        url: Where, for people.
        patience_seconds: How long a service that cannot be reached is tried again.
    """

    def __init__(self, call: Call, url: str, patience_seconds: float = 0.0) -> None:
        self._call, self._url = call, url
        self._headers = dict(call.headers)
        if call.method == "POST" and call.keyed:
            self._headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        self._made = 0
        self._until = time.monotonic() + patience_seconds

    def request(self, open_files: ExitStack) -> dict[str, Any]:
        """Write the next try as httpx's arguments; a file is read from its beginning.

        Raises:
            BadFile: It cannot be read.
        """
        call = self._call
        given: dict[str, Any] = {"method": call.method, "url": call.path, "headers": self._headers}
        if call.params:
            given["params"] = dict(call.params)
        if call.body is not None:
            given["json"] = call.body
        if call.file is not None:
            file = open_files.enter_context(_opened(call.file, call.moved))
            given["files"] = {"file": (call.file.name, file)}
            given["data"] = {key: value for key, value in call.fields.items() if value is not None}
        if call.seconds is not None:
            given["timeout"] = httpx.Timeout(call.seconds, connect=5)
        return given

    def pause(self, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Say how long to wait before the next try; None where the answer is good.

        Raises:
            Refused: The answer is no, and asking again would not help.
            Unreachable: Nobody answers.
        """
        self._made += 1
        last = self._made >= _TRIES
        if isinstance(outcome, httpx.TransportError):
            if not self._worth_another(outcome, last):
                raise self._unreachable(outcome) from outcome
        elif not outcome.is_error:
            return None
        elif last or outcome.status_code not in _PASSING:
            raise refusal(outcome)
        pause: float = _PAUSE_SECONDS * 2**self._made
        return min(pause, 2.0)

    def _worth_another(self, error: httpx.TransportError, last: bool) -> bool:
        if isinstance(error, httpx.ConnectError):
            return time.monotonic() < self._until
        return not last and not isinstance(error, httpx.UnsupportedProtocol)

    def _unreachable(self, error: Exception) -> Unreachable:
        return unreachable(self._url, error)


def unreachable(url: str, error: Exception) -> Unreachable:
    """Say that nobody answers, and what to do."""
    return Unreachable(
        f"Nobody answers at {url} ({error}). Start a yard with `trainyard up`, "
        "or say where one is with --url or TRAINYARD_URL."
    )


class Watch:
    """Asks for a job each time it has changed, until it has ended.

    The service holds its answer back until there is something to tell. One that is away for less than
    `patience_seconds` is waited for.
    """

    def __init__(self, job_id: str, patience_seconds: float) -> None:
        self._job_id, self._patience = job_id, patience_seconds
        self._etag: str | None = None
        self._away_since: float | None = None
        self.over = False
        self.pause = 0.0

    def call(self) -> Call:
        """Write the next question."""
        seen = {"If-None-Match": self._etag, "Prefer": f"wait={_WAIT_SECONDS}"} if self._etag else {}
        return Call("GET", f"/v1/jobs/{self._job_id}", headers=seen)

    def heard(self, answer: httpx.Response) -> Json | None:
        """Take an answer; return the job if it has changed."""
        self._away_since = None
        job: Json | None = None
        if answer.status_code != 304:
            self._etag = answer.headers.get("ETag")
            self.pause = 0.0
            job = answer.json()
            self.over = job is not None and job["state"] in TERMINAL
        waited = "Preference-Applied" in answer.headers
        self.pause = 0.0 if waited else min(max(_POLL_SECONDS[0], self.pause * 1.5), _POLL_SECONDS[1])
        return job

    def missed(self, error: Unreachable) -> None:
        """Bear with a service that is away.

        Raises:
            Unreachable: It has been away for too long.
        """
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > self._patience:
            raise error
        self.pause = _POLL_SECONDS[1]


class _Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, moved: Callable[[int], None] | None) -> None:
        super().__init__(path, "rb")
        self._moved = moved

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(-1 if size is None else size) or b""
        if self._moved:
            self._moved(self.tell())
        return part


def _opened(path: Path, moved: Moved | None) -> _Watched:
    try:
        return _Watched(path, moved)
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from error
