"""The REST client: the calls of the contract, and what takes several of them."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx

from trainyard.asking import DEFAULT_URL, PATIENCE, TERMINAL, Asking, Watch, address, credentials, unreachable
from trainyard.calls import Answer, Call, Datasets, Json, Resources, Weights
from trainyard.errors import TrainyardError, Unreachable
from trainyard.transfers import ANNOUNCED_BYTES, Moved, described, refusal, send, send_parts

__all__ = ["DEFAULT_URL", "TERMINAL", "AsyncClient", "Client", "Json"]

#: By the end of a file's name, what its format is called.
_WEIGHTS = {".h5": "hdf5", ".hdf5": "hdf5", ".keras": "keras", ".safetensors": "safetensors"}
Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)
#: How long a service that has answered before is waited for when it can no longer be reached.
_AWAY_SECONDS = 60.0


class Service(Resources[Answer], Generic[Answer, Transport]):
    """One service, spoken to as one project.

    `client.jobs`, `.datasets`, `.models`, `.weights`, `.predictions`, `.evaluations` and `.system` hold the calls of
    the REST contract, one method each, which return the answer's JSON.

    Args:
        url: Where the service listens; `TRAINYARD_URL`, or else the local yard.
        api_key: `ty_…`; `TRAINYARD_API_KEY`, or else none.
        transport: Stands in for the network in tests.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, transport: Transport | None = None) -> None:
        super().__init__(self._json)
        self.url, self._key, self._met = address(url), api_key, False
        self._open(transport, {"base_url": self.url, "headers": credentials(api_key), "timeout": PATIENCE})

    def _open(self, transport: Transport | None, settings: Json) -> None:
        """Open the way to it."""
        raise NotImplementedError(f"{type(self).__name__} says how it speaks")

    def _json(self, call: Call) -> Answer:
        """Carry out a call."""
        raise NotImplementedError(f"{type(self).__name__} says how it speaks")

    def _asking(self, call: Call) -> Asking:
        return Asking(call, self.url, _AWAY_SECONDS if self._met else 0.0)


class Client(Service[Json, httpx.BaseTransport]):
    """Speaks to a service, and waits for its answers; `Service` says what it is made of."""

    def _open(self, transport: httpx.BaseTransport | None, settings: Json) -> None:
        self._http = httpx.Client(transport=transport, **settings)
        # The storage is somebody else: it gets signed URLs, and never the key.
        self._storage = httpx.Client(timeout=PATIENCE, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()
        self._storage.close()

    def upload(self, path: Path | str, name: str | None = None, moved: Moved | None = None) -> Json:
        """Store a file of arrays as a dataset; a large one past the gateway, where the storage takes it.

        Raises:
            BadFile: There is no such file.
            Refused: The service cannot use what the file holds.
        """
        path = Path(path)
        if path.is_file() and path.stat().st_size > ANNOUNCED_BYTES:
            told = {"name": name or path.stem, "format": path.suffix.removeprefix(".")}
            return self._announced(self.datasets, "/v1/datasets", path, told, moved)
        return self.datasets.create(path, name, moved=moved)

    def upload_weights(self, path: Path | str, kernels: str = "tensorflow", moved: Moved | None = None) -> Json:
        """Store a file of weights; a large one past the gateway, where the storage takes it.

        Args:
            path: The file.
            kernels: "theano" where convolutions were trained on Theano, whose kernels are flipped.
            moved: Told how much has gone.

        Raises:
            BadFile: There is no such file.
            Refused: The service cannot use what the file holds.
        """
        path = Path(path)
        format = _WEIGHTS.get(path.suffix)
        if format and path.is_file() and path.stat().st_size > ANNOUNCED_BYTES:
            return self._announced(self.weights, "/v1/weights", path, {"format": format, "kernels": kernels}, moved)
        return self.weights.create(path, kernels)

    def _announced(
        self, resource: Datasets[Json] | Weights[Json], at: str, path: Path, told: Json, moved: Moved | None
    ) -> Json:
        size, sha256 = described(path)
        announced = resource.announce(told | {"bytes": size, "sha256": sha256})
        try:
            proofs = self._send_file(path, size, f"{at}/{announced['id']}", announced["upload"], moved)
            return resource.complete(announced["id"], proofs)
        except BaseException:
            # Nobody will come back to it: better gone now than when it expires.
            with suppress(TrainyardError):
                resource.delete(announced["id"])
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

    def watch(self, job_id: str, patience_seconds: float = _AWAY_SECONDS) -> Iterator[Json]:
        """Yield a job each time it has changed, the last time when it has ended.

        A service that is away for less than `patience_seconds` is waited for.
        """
        watch = Watch(job_id, patience_seconds)
        while not watch.over:
            try:
                job = watch.heard(self._send(watch.call()))
            except Unreachable as error:
                watch.missed(error)
                job = None
            if job is not None:
                yield job
            if not watch.over:
                time.sleep(watch.pause)

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
            raise unreachable(self.url, error) from error

    def _json(self, call: Call) -> Json:
        return _read(self._send(call))

    def _send(self, call: Call) -> httpx.Response:
        asking = self._asking(call)
        while True:
            with ExitStack() as files:
                outcome = self._tried(asking.request(files))
            pause = asking.pause(outcome)
            if pause is None and isinstance(outcome, httpx.Response):
                self._met = True
                return outcome
            time.sleep(pause or 0.0)

    def _tried(self, request: Json) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(**request)
        except httpx.TransportError as error:
            return error


class AsyncClient(Service[Awaitable[Json], httpx.AsyncBaseTransport]):
    """What `Client` is, for code that awaits: every call of the contract is a coroutine."""

    def _open(self, transport: httpx.AsyncBaseTransport | None, settings: Json) -> None:
        self._http = httpx.AsyncClient(transport=transport, **settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def watch(self, job_id: str, patience_seconds: float = _AWAY_SECONDS) -> AsyncIterator[Json]:
        """Yield a job each time it has changed, the last time when it has ended; see `Client.watch`."""
        watch = Watch(job_id, patience_seconds)
        while not watch.over:
            try:
                job = watch.heard(await self._send(watch.call()))
            except Unreachable as error:
                watch.missed(error)
                job = None
            if job is not None:
                yield job
            if not watch.over:
                await asyncio.sleep(watch.pause)

    async def upload(self, path: Path | str, name: str | None = None, moved: Moved | None = None) -> Json:
        """Store a file of arrays as a dataset, in a thread of its own; see `Client.upload`."""
        return await asyncio.to_thread(self._in_thread, "upload", path, name, moved)

    async def download(self, job_id: str, artifact: Json, folder: Path, moved: Moved | None = None) -> Path:
        """Fetch an artifact whole, in a thread of its own; see `Client.download`."""
        fetched = await asyncio.to_thread(self._in_thread, "download", job_id, artifact, folder, moved)
        return Path(fetched)

    def _in_thread(self, what: str, *arguments: Any) -> Any:
        with Client(self.url, self._key) as client:
            return getattr(client, what)(*arguments)

    async def _json(self, call: Call) -> Json:
        return _read(await self._send(call))

    async def _send(self, call: Call) -> httpx.Response:
        asking = self._asking(call)
        while True:
            with ExitStack() as files:
                outcome = await self._tried(asking.request(files))
            pause = asking.pause(outcome)
            if pause is None and isinstance(outcome, httpx.Response):
                self._met = True
                return outcome
            await asyncio.sleep(pause or 0.0)

    async def _tried(self, request: Json) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(**request)
        except httpx.TransportError as error:
            return error


def _read(answer: httpx.Response) -> Json:
    body: Json = answer.json() if answer.content else {}
    return body


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
