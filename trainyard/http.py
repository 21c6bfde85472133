"""The REST client: one method per thing a person asks of the service."""

import hashlib
import io
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from trainyard.errors import BadFile, TrainyardError, Unreachable
from trainyard.transfers import ANNOUNCED_BYTES, Moved, described, refusal, send, send_parts

Json = dict[str, Any]

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
DEFAULT_URL = "http://127.0.0.1:8000"

_TRIES = 4
_PASSING = frozenset({429, 503})
_PAUSE_SECONDS = 0.25
_POLL_SECONDS = (0.1, 1.0)
_PATIENCE = httpx.Timeout(60, connect=5)
#: How long the service may take to fetch and read a large file that it has not seen before.
_COMPLETE = httpx.Timeout(900, connect=5)
#: How long the service may hold an answer back; less than what silent connections are cut off after.
_WAIT_SECONDS = 25


class Client:
    """Speaks to one service as one project.

    Args:
        url: Where the service listens; `TRAINYARD_URL`, or else the local yard.
        api_key: `ty_…`; `TRAINYARD_API_KEY`, or else none.
        transport: Stands in for the network in tests.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = (url or os.environ.get("TRAINYARD_URL") or DEFAULT_URL).rstrip("/")
        key = api_key or os.environ.get("TRAINYARD_API_KEY")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=_PATIENCE,
            transport=transport,
        )
        # The storage is somebody else: it gets signed URLs, and never the key.
        self._storage = httpx.Client(timeout=_PATIENCE, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._storage.close()

    def upload(self, path: Path, name: str | None = None, moved: Moved | None = None) -> Json:
        """Store a file of arrays as a dataset; a large one past the gateway, where the storage takes it.

        Raises:
            BadFile: There is no such file.
            Refused: The service cannot use what the file holds.
        """
        if path.is_file() and path.stat().st_size > ANNOUNCED_BYTES:
            return self._announced(path, name or path.stem, moved)
        with _open(path, moved) as file:
            form = {"files": {"file": (path.name, file)}, "data": {"name": name or path.stem}}
            return self._json("POST", "/v1/datasets", **form)

    def _announced(self, path: Path, name: str, moved: Moved | None) -> Json:
        size, sha256 = described(path)
        told = {"name": name, "format": path.suffix.removeprefix("."), "bytes": size, "sha256": sha256}
        dataset = self._json("POST", "/v1/datasets", json=told)
        at = f"/v1/datasets/{dataset['id']}"
        try:
            proofs = self._send_file(path, size, at, dataset["upload"], moved)
            body = {"json": {"parts": proofs}} if proofs else {}
            return self._json("POST", f"{at}/complete", timeout=_COMPLETE, **body)
        except BaseException:
            # Nobody will come back to it: better gone now than when it expires.
            with suppress(TrainyardError):
                self._send("DELETE", at)
            raise

    def _send_file(self, path: Path, size: int, at: str, upload: Json, moved: Moved | None) -> list[Json]:
        if "parts" in upload:
            return send_parts(self._storage, path, upload, moved)
        request = upload | {"headers": upload["headers"] | {"Content-Length": str(size)}}
        url = httpx.URL(upload["url"])
        if url.path.endswith(f"{at}/content") and not url.query:
            # The service takes it itself, at the address where we know it, and with our key.
            send(self._http, request | {"url": f"{at}/content"}, path, moved=moved)
        else:
            send(self._storage, request, path, moved=moved)
        return []

    def submit(self, job: Json) -> Json:
        """Queue a job; asked twice because an answer was lost, it is still one job."""
        return self._json("POST", "/v1/jobs", json=job)

    def job(self, job_id: str) -> Json:
        """Read a job."""
        return self._json("GET", f"/v1/jobs/{job_id}")

    def jobs(self, state: str | None = None, limit: int = 20) -> list[Json]:
        """The newest jobs first."""
        asked: dict[str, str | int] = {"page_size": limit} | ({"state": state} if state else {})
        items: list[Json] = self._json("GET", "/v1/jobs", params=asked)["items"]
        return items

    def watch(self, job_id: str, patience_seconds: float = 60.0) -> Iterator[Json]:
        """Yield a job each time it has changed, the last time when it has ended.

        The service holds its answer back until there is something to tell. One that is away for less than
        `patience_seconds` is waited for.
        """
        etag: str | None = None
        pause = _POLL_SECONDS[0]
        away_since: float | None = None
        while True:
            try:
                seen = {"If-None-Match": etag, "Prefer": f"wait={_WAIT_SECONDS}"} if etag else {}
                answer = self._send("GET", f"/v1/jobs/{job_id}", headers=seen)
            except Unreachable:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > patience_seconds:
                    raise
                time.sleep(_POLL_SECONDS[1])
                continue
            away_since = None
            if answer.status_code != 304:
                etag, pause = answer.headers.get("ETag"), _POLL_SECONDS[0]
                job: Json = answer.json()
                yield job
                if job["state"] in TERMINAL:
                    return
            if "Preference-Applied" in answer.headers:
                continue
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])

    def act(self, job_id: str, verb: str) -> Json:
        """Ask for `cancel`, `pause` or `resume`."""
        return self._json("POST", f"/v1/jobs/{job_id}/{verb}")

    def series(self, job_id: str) -> Json:
        """The numbers of all epochs so far: a list for each metric."""
        series: Json = self._json("GET", f"/v1/jobs/{job_id}/metrics")["series"]
        return series

    def predict(self, job_id: str, x: Any) -> list[Any]:
        """What a job's trained model gives for some inputs."""
        y: list[Any] = self._json("POST", "/v1/predictions", json={"job": job_id, "x": x})["y"]
        return y

    def artifacts(self, job_id: str) -> list[Json]:
        """What a job has left behind so far."""
        items: list[Json] = self._json("GET", f"/v1/jobs/{job_id}/artifacts")["items"]
        return items

    def artifact_url(self, job_id: str, name: str) -> str:
        """Where an artifact can be fetched from."""
        return f"{self.url}/v1/jobs/{job_id}/artifacts/{name}"

    def download(self, job_id: str, artifact: Json, folder: Path, moved: Moved | None = None) -> Path:
        """Fetch an artifact whole, or leave no file at all.

        Raises:
            TrainyardError: The name is not a plain file name, or the bytes are not the ones promised.
        """
        name: str = artifact["name"]
        if Path(name).name != name:
            raise TrainyardError(f"The artifact {name!r} of {job_id} has a name that is no plain file name.")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / name
        partial = folder / f".{name}.{uuid.uuid4().hex}"
        try:
            digest = self._fetch(f"/v1/jobs/{job_id}/artifacts/{name}", partial, moved)
            if digest != artifact["sha256"]:
                raise TrainyardError(
                    f"{name} arrived with sha256 {digest}, not {artifact['sha256']} as listed; try again."
                )
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _fetch(self, url: str, to: Path, moved: Moved | None) -> str:
        try:
            with self._http.stream("GET", url) as answer:
                if not answer.is_redirect:
                    return _written(answer, to, moved)
            with self._storage.stream("GET", answer.headers["Location"]) as answer:
                return _written(answer, to, moved)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _json(self, method: str, path: str, **request: Any) -> Json:
        body: Json = self._send(method, path, **request).json()
        return body

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        if method == "POST":
            request["headers"] = {"Idempotency-Key": str(uuid.uuid4())} | request.get("headers", {})
        once = "files" in request  # a second try would send the rest of the file, not all of it
        attempt = 0
        while True:
            attempt += 1
            last = once or attempt == _TRIES
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol):
                    raise self._unreachable(error) from error
            else:
                if not answer.is_error:
                    return answer
                if last or answer.status_code not in _PASSING:
                    raise refusal(answer)
            time.sleep(_PAUSE_SECONDS * 2**attempt)

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"Nobody answers at {self.url} ({error}). Start a yard with `trainyard up`, "
            "or say where one is with --url or TRAINYARD_URL."
        )


class _Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, moved: Moved | None) -> None:
        super().__init__(path, "rb")
        self._moved = moved

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(-1 if size is None else size) or b""
        if self._moved:
            self._moved(self.tell())
        return part


def _open(path: Path, moved: Moved | None) -> _Watched:
    try:
        return _Watched(path, moved)
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from error


def _written(answer: httpx.Response, to: Path, moved: Moved | None) -> str:
    """Put an answer into a file; return its sha256."""
    if not answer.is_success:
        answer.read()
        raise refusal(answer)
    digest, count = hashlib.sha256(), 0
    with to.open("wb") as file:
        for part in answer.iter_bytes():
            digest.update(part)
            count += file.write(part)
            if moved:
                moved(count)
    return digest.hexdigest()
