"""Bytes in object storage: a local folder or S3, behind the same few verbs."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

CHUNK = 2**20


def dataset_key(project_id: str, dataset_id: str) -> str:
    """Say where a dataset's file lives."""
    return f"projects/{project_id}/datasets/{dataset_id}"


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
    except FileNotFoundError:
        raise
    except BaseError as error:
        # The driver's own words hold addresses: they are for the log, by way of the cause.
        raise StorageFailed(f"storage failed on {key}") from error


class Blobs:
    """A place for bytes, by key.

    Args:
        url: `file:///folder`, a plain folder, or `s3://bucket/prefix` with AWS_* variables for the rest.
    """

    def __init__(self, url: str) -> None:
        self.store: ObjectStore = _open(url)

    def put_file(self, key: str, path: Path) -> tuple[int, str]:
        """Store a file whole or not at all; return its bytes and sha256."""
        size, sha256 = digest(path)
        with _talking(key):
            obstore.put(self.store, key, path)
        return size, sha256

    def put(self, key: str, content: bytes) -> tuple[int, str]:
        """Store bytes; return their number and sha256."""
        with _talking(key):
            obstore.put(self.store, key, content)
        return len(content), hashlib.sha256(content).hexdigest()

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

    def stream(self, key: str) -> Iterator[bytes]:
        """Fetch piece by piece; a missing blob raises at once, before the first piece is asked for.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        with _talking(key):
            pieces = obstore.get(self.store, key).stream(min_chunk_size=CHUNK)
        return _whole(key, cast("Iterator[Any]", pieces))

    def delete(self, key: str) -> None:
        """Remove a blob; one that is already gone is fine."""
        if self.exists(key):
            with _talking(key):
                obstore.delete(self.store, key)

    def exists(self, key: str) -> bool:
        """Say whether there is such a blob."""
        try:
            with _talking(key):
                obstore.head(self.store, key)
        except FileNotFoundError:
            return False
        return True

    def check(self) -> None:
        """Reach the storage once, and raise whatever it raises."""
        self.exists("ready")


def _whole(key: str, pieces: Iterator[Any]) -> Iterator[bytes]:
    with _talking(key):
        for piece in pieces:
            yield bytes(piece)


def _open(url: str) -> ObjectStore:
    if "://" in url and not url.startswith("file://"):
        return from_url(url)
    return LocalStore(Path(url.removeprefix("file://")), mkdir=True)
