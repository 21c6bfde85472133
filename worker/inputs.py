"""What a run reads: datasets and weights, fetched once into a folder that all runners share."""

import os
import uuid
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy.orm import Session, sessionmaker

from core import formats
from core.blobs import Blobs, digest
from core.datasets import Datasets, array_of
from core.errors import NotFound
from core.jobs import Jobs
from core.models import Weights
from core.tables import Dataset
from core.unit import reading
from engine.plan import ArraySpec

#: What the shared folder may hold before the files longest unused are dropped.
KEEP_BYTES = 20 * 2**30


class Cache:
    """Blobs as local files; whoever needs one first fetches it.

    Args:
        folder: Where they lie, named by their sha256.
        blobs: Where they come from.
        keep_bytes: How many bytes may stay.
    """

    def __init__(self, folder: Path, blobs: Blobs, keep_bytes: int = KEEP_BYTES) -> None:
        self._folder, self._blobs, self._keep_bytes = folder, blobs, keep_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, blob: str, sha256: str) -> Path:
        """The local file of a blob.

        Raises:
            OSError: Storage does not have it or has other bytes, or the disk is full.
        """
        path = self._folder / sha256
        try:
            os.utime(path)
        except FileNotFoundError:
            self._make_room()
            # Another runner may fetch the same: each writes its own file, and the last rename wins.
            partial = self._folder / f"{sha256}.{uuid.uuid4().hex}"
            try:
                self._blobs.get_file(blob, partial)
                if digest(partial)[1] != sha256:
                    raise OSError(f"the bytes stored as {blob} are not the ones that were uploaded")
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path

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
        sessions: Where they are described.
        cache: Where their files are.
        project_id: Whose they are.
    """

    def __init__(self, sessions: sessionmaker[Session], cache: Cache, project_id: str) -> None:
        self._sessions, self._cache, self._project_id = sessions, cache, project_id
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
        return formats.load(self._cache.fetch(dataset.blob, dataset.sha256), dataset.format, array)

    def weights(self, wanted: dict[str, Any]) -> tuple[Path, Literal["tensorflow", "theano"]]:
        """Fetch uploaded weights, or those another job has left; say how their kernels lie."""
        if "id" not in wanted:
            return self.artifact(wanted["job"], "weights.h5"), "tensorflow"
        with reading(self._sessions) as session:
            row = Weights(session, self._project_id).get(wanted["id"])
        return self._cache.fetch(row.blob, row.sha256), "theano" if row.kernels == "theano" else "tensorflow"

    def artifact(self, job_id: str, name: str) -> Path:
        """Fetch what another job has left.

        Raises:
            NotFound: The project has no such job, or the job has left no such file.
        """
        with reading(self._sessions) as session:
            jobs = Jobs(session, self._project_id)
            left = jobs.artifact(jobs.get(job_id).id, name)
        return self._cache.fetch(left.blob, left.sha256)

    def _dataset(self, dataset_id: str) -> Dataset:
        if dataset_id not in self._datasets:
            with reading(self._sessions) as session:
                self._datasets[dataset_id] = Datasets(session, self._project_id).get(dataset_id)
        return self._datasets[dataset_id]
