"""Arrays on their way to the service and back: what it has already is not sent again."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from engine.sources import Packed
from trainyard import tensors
from trainyard.calls import Json
from trainyard.errors import TrainyardError
from trainyard.http import Client
from trainyard.progress import moving
from trainyard.transfers import ANNOUNCED_BYTES, described

Array = NDArray[Any]

_NUMBERS = "biuf"


class Here(str):
    """Stands in a job for an array that has yet to be sent."""

    array: Array


def here(value: Any, name: str) -> Here:
    """Take an array into a job.

    Raises:
        TrainyardError: It holds no numbers.
    """
    array = np.asarray(value)
    if array.dtype.kind not in _NUMBERS or not array.ndim:
        raise TrainyardError(
            f"`{name}` must be an array of numbers with one row for each sample, but is {array.dtype} of shape "
            f"{array.shape}."
        )
    # Models compute in float32, so nothing is lost and half of the bytes are saved.
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    reference = Here(f"here/{name}")
    reference.array = np.ascontiguousarray(array, np.float32 if wide else None)
    return reference


def arrays_in(value: Any) -> Iterator[Here]:
    """List the arrays that a job, or a part of one, waits for."""
    if isinstance(value, Here):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from arrays_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from arrays_in(each)


def sent(client: Client, value: Any, console: Console | None = None) -> Any:
    """Return the same job with a reference to a dataset in the place of every array.

    Args:
        client: Where they go.
        value: The job, or a part of it.
        console: Where large ones are shown on their way.

    Raises:
        TrainyardError: One cannot be sent.
    """
    if isinstance(value, Here):
        return reference_to(client, value, console)
    if isinstance(value, Mapping):
        return {key: sent(client, each, console) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [sent(client, each, console) for each in value]
    return plain(value)


def plain(value: Any) -> Any:
    """Turn numpy's numbers into those that JSON can write."""
    return value.item() if isinstance(value, np.generic) else value


def reference_to(client: Client, array: Here, console: Console | None = None) -> str:
    """Send an array, unless the project has its very bytes already; return the reference to it."""
    with folder() as place:
        path = place / f"{array.removeprefix('here/').replace('/', '_')}.npy"
        with path.open("wb") as file:
            np.lib.format.write_array(file, array.array, allow_pickle=False)
        size, sha256 = described(path)
        known = client.datasets.list(sha256=sha256)["items"]
        ready = [each for each in known if each["state"] == "ready" and each["format"] == "npy"]
        dataset = ready[0] if ready else _uploaded(client, path, size, console)
    return f"{dataset['id']}/{next(iter(dataset['arrays']))}"


def _uploaded(client: Client, path: Path, size: int, console: Console | None) -> Json:
    if console is None or size <= ANNOUNCED_BYTES:
        return client.upload(path)
    with moving(console, f"Sending {path.stem}", size) as moved:
        return client.upload(path, moved=moved)


def encoded(array: Array) -> Json:
    """Write an array into a request, bit for bit."""
    written: Json = Packed.of(array).to_json()
    return written


def decoded(value: Json) -> Array:
    """Read an array that is written into an answer."""
    packed = Packed(value["base64"], tuple(value["shape"]), value["dtype"])
    return packed.load(lambda dataset, name: np.empty(0)).copy()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as name:
        yield Path(name)


def fetched(client: Client, job_id: str, name: str, to: Path) -> Path:
    """Fetch one artifact of a job into a folder.

    Raises:
        TrainyardError: The job has none of that name.
    """
    for each in client.jobs.artifacts(job_id)["items"]:
        if each["name"] == name:
            return client.download(job_id, each, to)
    raise TrainyardError(" ".join([f"{job_id} has left no {name}.", *_said_of(client, job_id, name)]))


def _said_of(client: Client, job_id: str, name: str) -> list[str]:
    """List what a job has warned of that is about a file."""
    events = client.jobs.events(job_id)["items"]
    said = [str(each["data"].get("detail")) for each in events if each["type"] == "warning"]
    return [each for each in said if name in each]


@lru_cache(maxsize=4)
def weights_of(client: Client, job_id: str) -> Mapping[str, Array]:
    """Fetch the weights that a job has left, by their keys `layer/weight`; an ended job's never change."""
    with folder() as place:
        return tensors.read(fetched(client, job_id, "weights.safetensors", place))


def predictions_of(client: Client, job_id: str) -> Array:
    """Fetch what a job has predicted."""
    with folder() as place, np.load(fetched(client, job_id, "predictions.npz", place), allow_pickle=False) as file:
        predicted: Array = file["y"]
        return predicted
