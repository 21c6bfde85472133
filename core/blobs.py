"""Bytes in object storage: a local folder or S3, behind the same few verbs."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from core.folders import Found, walk

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

CHUNK = 2**20
#: A file larger than one part goes to S3 in parts, a few at a time.
PART_BYTES, PARTS_AT_ONCE = 8 * 2**20, 4
#: Nothing else outside `projects/`: it is written to learn what the storage's clock says.
CLOCK = "clock"
#: A file that a writer to a folder had not finished when it died.
LEFT_OVER = re.compile(r"#\d+$")
#: A store that is down is given up on in seconds; one that stalls, when it has said nothing for this long.
_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(hours=2),
}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


def dataset_key(project_id: str, dataset_id: str) -> str:
    """Say where a dataset's file lives."""
    return f"projects/{project_id}/datasets/{dataset_id}"


def upload_key(project_id: str, dataset_id: str) -> str:
    """Say where a client may write a dataset's file; what is read from is never where others can still write."""
    return f"projects/{project_id}/uploads/{dataset_id}"


def weights_key(project_id: str, weights_id: str) -> str:
    """Say where an uploaded weights file lives."""
    return f"projects/{project_id}/weights/{weights_id}"


def attempt_key(project_id: str, job_id: str, attempt: int, name: str) -> str:
    """Say where an attempt may write: no two attempts share a key, so a zombie overwrites nothing."""
    return f"projects/{project_id}/jobs/{job_id}/a{attempt}/{name}"


def digest(path: Path) -> tuple[int, str]:
    """Count and hash a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, sha256


class StorageFailed(OSError):
    """The storage does not answer, or does not do what it was asked."""


@contextmanager
def _talking(key: str) -> Iterator[None]:
    """Give every driver's failures one name; a missing blob keeps its own."""
    try:
        yield
    except BaseError as error:
        # The driver's own words hold addresses: they are for the log, by way of the cause.
        raise StorageFailed(f"storage failed on {key}") from error


@contextmanager
def _writing(key: str) -> Iterator[None]:
    """The same where no blob need be there yet: what is missing then is the bucket or the folder."""
    try:
        with _talking(key):
            yield
    except FileNotFoundError as error:
        raise StorageFailed(f"storage has no place for {key}") from error


class Blobs:
    """A place for bytes, by key.

    A storage that fails raises `StorageFailed`, from any verb.

    Args:
        url: `file:///folder`, a plain folder, or `s3://bucket/prefix` with AWS_* variables for the rest.
    """

    def __init__(self, url: str) -> None:
        self.folder = None if "://" in url and not url.startswith("file://") else Path(url.removeprefix("file://"))
        self.store: ObjectStore = _open(url, self.folder)

    def put_file(self, key: str, path: Path) -> tuple[int, str]:
        """Store a file whole or not at all; return its bytes and sha256."""
        size, sha256 = digest(path)
        with _writing(key):
            obstore.put(self.store, key, path, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        self._check_size(key, size)
        return size, sha256

    def put(self, key: str, content: bytes) -> tuple[int, str]:
        """Store bytes; return their number and sha256."""
        with _writing(key):
            obstore.put(self.store, key, content)
        self._check_size(key, len(content))
        return len(content), hashlib.sha256(content).hexdigest()

    def copy(self, key: str, to: str) -> None:
        """Copy a blob inside the storage; the copy is as old as this moment.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        with _talking(key):
            obstore.copy(self.store, key, to)
        if self.folder:
            os.utime(self.folder / to)

    def get_file(self, key: str, path: Path) -> None:
        """Fetch into a file, which appears only once it is complete.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            for chunk in self.stream(key):
                file.write(chunk)
        partial.replace(path)

    def read(self, key: str) -> bytes:
        """Fetch a small blob.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        with _talking(key):
            return bytes(obstore.get(self.store, key).bytes())

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Fetch piece by piece; a missing blob raises at once, before the first piece is asked for.

        Args:
            key: Which blob.
            start: The first byte wanted.
            end: The first byte no longer wanted; all of them if left out.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        options: GetOptions = {"range": (start, end) if end is not None else {"offset": start}} if start or end else {}
        with _talking(key):
            pieces = obstore.get(self.store, key, options=options).stream(min_chunk_size=CHUNK)
        return _whole(key, cast("Iterator[Any]", pieces))

    def delete(self, key: str) -> None:
        """Remove a blob; one that is already gone is fine."""
        if self.folder and LEFT_OVER.search(key):
            # The driver does not speak of files that a dead writer left half written.
            (self.folder / key).unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError), _talking(key):
            obstore.delete(self.store, key)

    def size(self, key: str) -> int | None:
        """Say how many bytes a blob has; None where there is no such blob."""
        try:
            with _talking(key):
                return obstore.head(self.store, key)["size"]
        except FileNotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Say whether there is such a blob."""
        return self.size(key) is not None

    def page(self, folder: str, after: str, size: int) -> list[Found]:
        """List up to `size` blobs of a folder that come after the key `after`, in the storage's own order."""
        if self.folder:
            return list(islice(walk(self.folder, folder, after), size))
        with _writing(folder):
            pages = obstore.list(self.store, folder, offset=after or None, chunk_size=size)
            metas = next(iter(pages), [])
        return [Found(each["path"], each["size"], each["last_modified"]) for each in metas]

    def now(self) -> datetime:
        """Ask for the storage's own time, by which it says how old a blob is."""
        self.put(CLOCK, b"")
        with _writing(CLOCK):
            return obstore.head(self.store, CLOCK)["last_modified"]

    def check(self) -> None:
        """Reach the storage once, and raise whatever it raises; a bucket or folder that is gone raises too."""
        if self.folder and not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise StorageFailed("the folder of blobs cannot be written")
        self.page("ready", "", 1)

    def _check_size(self, key: str, size: int) -> None:
        """Look whether a blob has arrived: there are stores that say yes and keep nothing."""
        if (kept := self.size(key)) != size:
            raise StorageFailed(f"storage took {size:,} bytes as {key} and has {'none' if kept is None else kept}")


def _whole(key: str, pieces: Iterator[Any]) -> Iterator[bytes]:
    with _talking(key):
        for piece in pieces:
            yield bytes(piece)


def _open(url: str, folder: Path | None) -> ObjectStore:
    if folder:
        return LocalStore(folder, mkdir=True, automatic_cleanup=True)
    # Options given here displace what the driver would read from the environment, this one too.
    allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    return from_url(url, client_options={**_CLIENT, "allow_http": allow_http}, retry_config=_RETRIES)
