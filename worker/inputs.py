"""What a run reads: datasets and weights, fetched once into a folder that all runners share."""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy.orm import Session

from core import formats
from core.blobs import Blobs, digest
from core.datasets import Datasets, array_of
from core.errors import NotFound
from core.jobs import Jobs
from core.models import Weights
from core.tables import Artifact, Dataset, WeightsFile
from engine.plan import ArraySpec
from worker.failures import BrokenInput, LostInput
from worker.patience import Patience

#: What another job has left of its weights, and of what its optimizer had gathered.
TRAINED, OPTIMIZER = "weights.h5", "optimizer.safetensors"
#: What the shared folder may hold before the files longest unused are dropped.
KEEP_BYTES = 20 * 2**30


#: Bytes that arrive wrong are asked for once more: it may have been the way.
_FETCHES = 2


class WrongBytes(OSError):
    """What is stored is not what was uploaded."""


class Cache:
    """Blobs as local files; whoever needs one first fetches it.

    Args:
        folder: Where they lie, named by their sha256.
        blobs: Where they come from.
        keep_bytes: How many bytes may stay.
    """

    def __init__(self, folder: Path, blobs: Blobs, keep_bytes: int = KEEP_BYTES) -> None:
        self._folder, self._blobs, self._keep_bytes = folder, blobs, keep_bytes
        #: The files whose bytes this process has seen to be right, by their inodes.
        self._known: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, blob: str, sha256: str) -> Path:
        """The local file of a blob, whose bytes are those that were uploaded.

        Raises:
            FileNotFoundError: Storage does not have it.
            WrongBytes: Storage has other bytes.
            OSError: Storage does not answer, or the disk is full.
        """
        path = self._folder / sha256
        if not self._holds(path, sha256):
            self._make_room()
            self._download(blob, sha256, path)
        return path

    def _holds(self, path: Path, sha256: str) -> bool:
        """Tell whether a file is there and whole; a disk may have lost its end when the power went."""
        try:
            os.utime(path)
            inode = path.stat().st_ino
            if self._known.get(sha256) != inode and digest(path)[1] != sha256:
                return False
        except FileNotFoundError:
            return False
        self._known[sha256] = inode
        return True

    def _download(self, blob: str, sha256: str, path: Path) -> None:
        # Another runner may fetch the same: each writes its own file, and the last rename wins.
        partial = self._folder / f"{sha256}.{uuid.uuid4().hex}"
        try:
            for _ in range(_FETCHES):
                self._blobs.get_file(blob, partial)
                if digest(partial)[1] == sha256:
                    self._known[sha256] = partial.stat().st_ino
                    partial.replace(path)
                    return
            raise WrongBytes(f"the bytes stored as {blob} are not the ones that were uploaded")
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self) -> None:
        files = sorted(((path.stat(), path) for path in self._folder.iterdir()), key=lambda file: file[0].st_mtime)
        held = sum(stat.st_size for stat, _ in files)
        for stat, path in files:
            if held <= self._keep_bytes:
                return
            path.unlink(missing_ok=True)  # a runner that has it open or mapped keeps it
            held -= stat.st_size


class Inputs:
    """What one job may read: the things of its project.

    Args:
        database: Where they are described.
        cache: Where their files are.
        project_id: Whose they are.
    """

    def __init__(self, database: Patience, cache: Cache, project_id: str) -> None:
        self._database, self._cache, self._project_id = database, cache, project_id
        self._datasets: dict[str, Dataset] = {}

    def describe(self, dataset_id: str, array: str) -> ArraySpec:
        """Say what an array is, without reading it.

        Raises:
            LookupError: There is no such dataset, or it has no such array.
        """
        try:
            return ArraySpec(*array_of(self._dataset(dataset_id), array))
        except NotFound as error:
            raise LookupError(error.detail) from error

    def load(self, dataset_id: str, array: str) -> np.ndarray:
        """Read an array, mapped into memory where its file allows it."""
        dataset = self._dataset(dataset_id)
        path = self._fetch(f"dataset {dataset_id}", dataset.blob, dataset.sha256)
        return formats.load(path, dataset.format, array)

    def weights(self, wanted: dict[str, Any]) -> tuple[Path, Literal["tensorflow", "theano"]]:
        """Fetch uploaded weights, or those another job has left; say how their kernels lie."""
        if "id" not in wanted:
            return self.artifact(wanted["job"], TRAINED), "tensorflow"
        row = self._weights(wanted["id"])
        path = self._fetch(f"weights {row.id}", row.blob, row.sha256)
        return path, "theano" if row.kernels == "theano" else "tensorflow"

    def artifact(self, job_id: str, name: str) -> Path:
        """Fetch what another job has left.

        Raises:
            NotFound: The project has no such job, or the job has left no such file.
        """
        left = self._artifact(job_id, name)
        return self._fetch(f"{name} of job {job_id}", left.blob, left.sha256)

    def dataset_digests(self, dataset_ids: Iterable[str]) -> dict[str, str]:
        """Tell the sha256 of datasets, which `load` has held their bytes against."""
        return {dataset_id: self._dataset(dataset_id).sha256 for dataset_id in dataset_ids}

    def optimizer(self, wanted: dict[str, Any]) -> Path | None:
        """Fetch what an optimizer has gathered, if it is to go on: of another job, or in the file of the weights."""
        if job_id := _optimizer_of(wanted):
            return self.artifact(job_id, OPTIMIZER)
        return self.weights(wanted)[0] if wanted.get("optimizer") else None

    def weights_digests(self, wanted: dict[str, Any]) -> dict[str, str]:
        """Tell the sha256 of given weights, and of what another job's optimizer had gathered."""
        weights = self._weights(wanted["id"]) if "id" in wanted else self._artifact(wanted["job"], TRAINED)
        told = {"sha256": weights.sha256}
        if job_id := _optimizer_of(wanted):
            told["optimizer_sha256"] = self._artifact(job_id, OPTIMIZER).sha256
        return told

    def _fetch(self, what: str, blob: str, sha256: str) -> Path:
        try:
            return self._cache.fetch(blob, sha256)
        except FileNotFoundError as error:
            raise LostInput(what, "are gone") from error
        except WrongBytes as error:
            raise BrokenInput(what, f"are not the ones that were uploaded, whose sha256 is {sha256}") from error

    def _weights(self, weights_id: str) -> WeightsFile:
        return self._database.read(lambda session: Weights(session, self._project_id).get(weights_id))

    def _artifact(self, job_id: str, name: str) -> Artifact:
        def read(session: Session) -> Artifact:
            jobs = Jobs(session, self._project_id)
            return jobs.artifact(jobs.get(job_id).id, name)

        return self._database.read(read)

    def _dataset(self, dataset_id: str) -> Dataset:
        if dataset_id not in self._datasets:
            found = self._database.read(lambda session: Datasets(session, self._project_id).get(dataset_id))
            self._datasets[dataset_id] = found
        return self._datasets[dataset_id]


def _optimizer_of(wanted: dict[str, Any]) -> str | None:
    """Name the job whose optimizer is to go on, if it is a job's."""
    own = wanted.get("job") if wanted.get("optimizer") else None
    found: str | None = wanted.get("optimizer_of") or own
    return found
