"""One attempt, from its assignment to its typed end."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from obstore.exceptions import BaseError as StorageError
from sqlalchemy.orm import Session, sessionmaker

from core.blobs import Blobs, digest
from core.errors import LostLease
from core.leases import TRAINING
from core.settings import Settings
from core.tables import Checkpoint, JobState, finite
from engine.limits import Limits
from engine.plan import Plan
from engine.training.loop import Training
from worker import failures
from worker.inputs import Cache, Inputs
from worker.journal import Journal
from worker.meter import Meter
from worker.protocol import Assignment

log = logging.getLogger(__name__)

_REPORT_SECONDS = 1.0

#: What the optimizer has gathered, kept beside the weights so that a later job can take it along.
OPTIMIZER = "optimizer.safetensors"


class Leave(Exception):
    """Raised between two batches to end an attempt before its work is done."""

    def __init__(self, state: str, reason: str, error: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.state, self.reason, self.error = state, reason, error


class Tools:
    """What a warm runner has at hand for any attempt."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], device: str) -> None:
        self.settings, self.sessions, self.device = settings, sessions, device
        self.blobs = Blobs(settings.storage_url)
        self.cache = Cache(settings.data_dir / "cache", self.blobs)
        self.limits = Limits(**settings.engine_limits)


class Attempt:
    """Runs an assignment, watches the training, and writes what comes of it.

    Args:
        assignment: What to run.
        tools: Database, storage, limits, device.
        stop: Set when the job is to be given back.
        stepping: Called once, after the first batch.
    """

    def __init__(
        self, assignment: Assignment, tools: Tools, stop: threading.Event, stepping: Callable[[], None]
    ) -> None:
        self._assignment, self._tools, self._stop, self._stepping = assignment, tools, stop, stepping
        self._folder = Path(assignment.folder)
        self._journal = Journal(tools.sessions, tools.blobs, assignment, tools.settings.lease_seconds)
        self._inputs = Inputs(tools.sessions, tools.cache, assignment.project_id)
        self._meter = Meter()
        self._training: Training | None = None
        self._started = time.monotonic()
        wanted = assignment.definition.get("checkpoint") or {}
        self._every_seconds = wanted.get("every_seconds") or tools.settings.checkpoint_every_seconds
        self._keep = wanted.get("keep") or tools.settings.checkpoint_keep
        self._logs: dict[str, Any] = {}
        self._next_report = 0.0
        self._next_checkpoint = self._started + self._every_seconds

    def run(self) -> None:
        """Run it to an end that is written down, whatever happens.

        Raises:
            LostLease: The job is no longer ours; nothing more was written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            evaluation = self._work()
        except Leave as leave:
            self._journal.finish(leave.state, reason=leave.reason, error=leave.error)
        except LostLease:
            raise
        except (OSError, StorageError):
            log.exception("storage failed %s", self._assignment.job_id)
            settings = self._tools.settings
            self._journal.lose("infra_storage", settings.max_attempts, settings.retry_backoff_seconds)
        except Exception as error:
            self._fail(error)
        else:
            self._journal.finish(JobState.SUCCEEDED, evaluation=evaluation)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _fail(self, error: Exception) -> None:
        told = failures.failure_of(error)
        if told["who"] == "system":
            log.exception("attempt %d of %s failed", self._assignment.attempt, self._assignment.job_id)
        self._journal.finish(JobState.FAILED, reason=told["class"], error=told)

    def _work(self) -> dict[str, float] | None:
        self._obey(self._assignment.wish)
        plan = Plan.read(self._assignment.definition, self._inputs.describe, self._tools.limits)
        training = Training(plan, self._inputs.load, seed=self._assignment.seed, device=self._tools.device)
        self._begin(training)
        self._training = training
        training.fit(self)
        evaluation = training.evaluate(self) if plan.evaluate else None
        predictions = training.predict(self) if plan.predict else None
        self._keep_results(training, predictions)
        return evaluation

    # What the engine tells its watcher.

    def batch(self) -> None:
        """Report, checkpoint or leave, when it is time to."""
        now = time.monotonic()
        if self._stop.is_set():
            self._leave(Leave(JobState.QUEUED, "worker_stopped"))
        if now >= self._next_report and self._training:
            self._report(self._training, now)
        if now >= self._next_checkpoint and self._training:
            self._checkpoint(self._training)

    def epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Keep an epoch's numbers."""
        self._logs = dict(logs)
        self._journal.epoch(epoch, logs)

    def artifact(self, name: str, write: Callable[[Path], None]) -> None:
        """Publish a file in mid-training, such as the best weights so far."""
        self._store(name, write)
        self._journal.publish()

    def warning(self, message: str) -> None:
        """Tell the caller something that is odd but no failure."""
        self._journal.event("warning", {"detail": message})

    # How an attempt begins, goes on and ends.

    def _begin(self, training: Training) -> None:
        if self._assignment.resume and self._restore(training):
            return
        if weights := self._assignment.definition.get("weights"):
            path, kernels = self._inputs.weights(weights)
            by_name, into = weights.get("by_name", False), weights.get("into")
            training.load_weights(path, kernels=kernels, by_name=by_name, into=into)
            if weights.get("optimizer"):
                training.load_optimizer(self._inputs.artifact(weights["job"], OPTIMIZER))

    def _restore(self, training: Training) -> bool:
        for number, checkpoint in enumerate(self._journal.checkpoints()):
            if self._is_restored(training, checkpoint):
                if number:
                    self._journal.resumed(checkpoint)
                return True
            self.warning(f"The checkpoint at step {checkpoint.step} is damaged; an earlier one is used.")
        self._journal.resumed(None)
        return False

    def _is_restored(self, training: Training, checkpoint: Checkpoint) -> bool:
        path = self._folder / "restore"
        try:
            self._tools.blobs.get_file(checkpoint.blob, path)
        except FileNotFoundError:
            return False
        if digest(path) != (checkpoint.bytes, checkpoint.sha256):
            return False
        training.restore(path)
        return True

    def _report(self, training: Training, now: float) -> None:
        progress = training.progress
        if not self._next_report:
            self._stepping()
        wish = self._journal.report(self._meter.read(progress), self._logs | progress.metrics)
        self._next_report = now + _REPORT_SECONDS
        limit = self._assignment.limit_seconds
        if limit is not None and now - self._started > limit:
            raise Leave(JobState.FAILED, "time_limit", failures.time_limit(limit))
        self._obey(wish)

    def _obey(self, wish: str | None) -> None:
        if wish == "cancel":
            raise Leave(JobState.CANCELLED, "cancelled_by_user")
        if wish == "pause":
            self._leave(Leave(JobState.PAUSED, "paused_by_user"))

    def _leave(self, leave: Leave) -> None:
        if self._training and self._assignment.kind == TRAINING:
            self._checkpoint(self._training)
        raise leave

    def _checkpoint(self, training: Training) -> None:
        path = self._folder / "checkpoint"
        training.save(path)
        progress = training.progress
        self._journal.checkpoint(path, progress.step, progress.epoch, self._keep)
        self._next_checkpoint = time.monotonic() + self._every_seconds

    def _keep_results(self, training: Training, predictions: np.ndarray | None) -> None:
        if predictions is not None:
            self._store("predictions.npz", lambda path: _save_npz(path, predictions))
        if self._assignment.kind != TRAINING:
            return
        self._report(training, time.monotonic())
        model = json.dumps(self._assignment.definition["model"], indent=2)
        self._store("model.json", lambda path: _write(path, model))
        self._store("weights.h5", lambda path: training.save_weights(path, "hdf5"))
        self._store("weights.safetensors", lambda path: training.save_weights(path, "safetensors"))
        if "fit" in self._assignment.definition:
            self._store(OPTIMIZER, training.save_optimizer)
            self._store("history.json", lambda path: _write(path, json.dumps(finite(training.history))))

    def _store(self, name: str, write: Callable[[Path], object]) -> None:
        path = self._folder / name
        write(path)
        self._journal.artifact(name, path, _FORMATS.get(path.suffix, "binary"))


_FORMATS = {".json": "json", ".h5": "hdf5", ".hdf5": "hdf5", ".safetensors": "safetensors", ".npz": "npz"}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _save_npz(path: Path, y: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, y=y)
