"""One attempt, from its assignment to its typed end."""

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

from core.blobs import Blobs
from core.errors import LostLease
from core.leases import TRAINING
from core.settings import Settings
from core.stepping import Did
from core.tables import JobState
from engine.limits import Limits
from engine.plan import Plan
from engine.training import exporting, saved
from engine.training.loop import Training
from worker import failures
from worker.inputs import Cache, Inputs
from worker.journal import Journal
from worker.meter import Meter
from worker.patience import Patience
from worker.protocol import EPOCHS, Assignment
from worker.receipt import RECEIPT, fidelity, receipt
from worker.restoring import restore
from worker.results import FORMATS, SAVED, STATES, leave, leave_predictions, write_json
from worker.session import Sitting
from worker.usage import Usage

log = logging.getLogger(__name__)

_REPORT_SECONDS = 1.0


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
        say: Tells the supervisor a word of the protocol, and what belongs to it.
    """

    def __init__(self, assignment: Assignment, tools: Tools, stop: threading.Event, say: Callable[..., object]) -> None:
        self._assignment, self._tools, self._stop, self._say = assignment, tools, stop, say
        self._folder = Path(assignment.folder)
        database = Patience(tools.sessions, tools.settings.lease_seconds)
        self._journal = Journal(database, tools.blobs, assignment)
        self._inputs = Inputs(database, tools.cache, assignment.project_id)
        self._meter, self._usage = Meter(), Usage(tools.device)
        self._training: Training | None = None
        self._started = time.monotonic()
        wanted = assignment.definition.get("checkpoint") or {}
        self._every_seconds = wanted.get("every_seconds") or tools.settings.checkpoint_every_seconds
        self._every_epochs = wanted.get("every_epochs")
        self._keep = wanted.get("keep") or tools.settings.checkpoint_keep
        self._logs: dict[str, Any] = {}
        #: The epoch after which the caller wants it to end, and why it has ended before its time.
        self._stop_after: int | None = None
        self._reason: str | None = None
        self._next_report = 0.0
        self._reported: int | None = None
        self._next_checkpoint = self._started + self._every_seconds
        self._warned_of_storage = False
        self._epoch_began = self._started
        self._epoch_seconds: list[float] = []

    def run(self) -> str:
        """Run it to an end that is written down, whatever happens; return how it ended, in a word.

        Raises:
            LostLease: The job is no longer ours; nothing more was written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            evaluation = self._work()
        except Leave as ending:
            self._journal.finish(ending.state, reason=ending.reason, error=ending.error)
            return ending.reason
        except LostLease:
            raise
        except Exception as error:
            shutil.rmtree(self._folder, ignore_errors=True)  # it may be what has filled the disk
            return self._fail(error)
        else:
            self._journal.finish(JobState.SUCCEEDED, reason=self._reason, evaluation=evaluation)
            return JobState.SUCCEEDED
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _fail(self, error: Exception) -> str:
        told, settings = failures.failure_of(error), self._tools.settings
        if told["who"] == "system":
            log.exception("the attempt failed: %s", told["class"])
        if told["class"] in failures.PASSING:
            self._journal.lose(told, settings.max_attempts, settings.retry_backoff_seconds)
        else:
            self._journal.finish(JobState.FAILED, reason=told["class"], error=told)
        return str(told["class"])

    def _work(self) -> dict[str, float] | None:
        self._obey(self._assignment.wish)
        if self._assignment.is_inspection:
            self._inspect(self._assignment.definition["inspect"])
            return None
        plan = Plan.read(self._assignment.definition, self._inputs.describe, self._tools.limits)
        exporting.check(self._assignment.definition.get("exports") or [])
        training = Training(plan, self._inputs.load, seed=self._assignment.seed, device=self._tools.device)
        self._begin(training)
        self._training = training
        self._epoch_began = time.monotonic()
        if plan.fit and training.steps and not training.done:
            self._stop_if_due(training, training.epoch - 1)
        closed = self._attend(training) if plan.session else None
        training.fit(self)
        if plan.fit and self._stop_after is not None and training.epoch < plan.fit.nb_epoch:
            self._reason = "stopped_by_user"
        evaluation = training.evaluate(self) if plan.evaluate else None
        predictions = training.predict(self) if plan.predict else None
        self._keep_results(training, predictions)
        if closed is not None:
            self._journal.did(closed)
        return evaluation

    def _inspect(self, weights: dict[str, Any]) -> None:
        """Leave what a saved model says of itself."""
        path, _ = self._inputs.weights(weights)
        found = saved.read(path, self._tools.limits)
        self._store(SAVED, lambda path: write_json(path, found.to_json()))

    def _attend(self, training: Training) -> Did:
        return Sitting(training, self._journal, self, self._inputs.describe, self._tools.limits).run()

    # What the engine tells its watcher.

    def batch(self) -> None:
        """Report, checkpoint or leave, when it is time to."""
        now = time.monotonic()
        if self._stop.is_set():
            self._leave(Leave(JobState.QUEUED, "worker_stopped"))
        training = self._training
        if training and now >= self._next_report and self._has_moved(training, self._reported):
            self._report(training, now)
        if training and now >= self._next_checkpoint and self._has_moved(training, self._journal.kept):
            self._checkpoint(training)

    def epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Keep an epoch's numbers, and its state where the caller wants it."""
        now = time.monotonic()
        self._epoch_seconds.append(now - self._epoch_began)
        self._epoch_began = now
        self._logs = dict(logs)
        self._journal.epoch(epoch, logs)
        if self._training:
            self._stop_if_due(self._training, epoch)
        if self._training and self._every_epochs and (epoch + 1) % self._every_epochs == 0:
            self._checkpoint(self._training)

    def artifact(self, name: str, write: Callable[[Path], object]) -> None:
        """Publish a file in mid-training, such as the best weights so far."""
        self._store(name, write)
        self._journal.publish()

    def warning(self, message: str) -> None:
        """Tell the caller something that is odd but no failure."""
        self._journal.event("warning", {"detail": message})

    # What a session asks besides.

    def between(self, wish: str | None) -> None:
        """Do what is to be done between two steps; where none follows, a report would say nothing new."""
        self._check_time(time.monotonic())
        self._obey(wish)
        self.batch()

    def rest(self, reason: str) -> None:
        """Leave until there is something to do."""
        if self._training:
            self._report(self._training, time.monotonic())
        self._leave(Leave(JobState.PAUSED, reason))

    @staticmethod
    def _has_moved(training: Training, since: int | None) -> bool:
        """Tell whether there is something new: always, but in a session that has been sent no step."""
        return training.plan.session is None or training.number != since

    # How an attempt begins, goes on and ends.

    def _begin(self, training: Training) -> None:
        if self._assignment.resume and restore(training, self._journal, self._tools.blobs, self._folder):
            return
        if weights := self._assignment.definition.get("weights"):
            path, kernels = self._inputs.weights(weights)
            by_name, into = weights.get("by_name", False), weights.get("into")
            training.load_weights(path, kernels=kernels, by_name=by_name, into=into)
            if remembered := self._inputs.optimizer(weights):
                training.load_optimizer(remembered, kernels)
            if weights.get("states"):
                training.load_states(self._inputs.artifact(weights["job"], STATES))

    def _report(self, training: Training, now: float) -> None:
        progress = training.progress
        if self._epoch_seconds:
            self._say(EPOCHS, *(f"{seconds:.6f}" for seconds in self._epoch_seconds))
            self._epoch_seconds.clear()
        metrics = self._logs | progress.metrics
        told = self._meter.read(progress) | {"resources": self._usage.read()}
        wish = self._journal.report(told, metrics, fidelity(training))
        self._next_report, self._reported = now + _REPORT_SECONDS, progress.step
        self._check_time(now)
        self._obey(wish)

    def _check_time(self, now: float) -> None:
        limit = self._assignment.limit_seconds
        if limit is not None and now - self._started > limit:
            raise Leave(JobState.FAILED, "time_limit", failures.time_limit(limit))

    def _obey(self, wish: str | None) -> None:
        if wish == "cancel":
            raise Leave(JobState.CANCELLED, "cancelled_by_user")
        if wish == "pause":
            self._leave(Leave(JobState.PAUSED, "paused_by_user"))
        if wish == "stop" and self._stop_after is None:
            # What was told of is kept: who goes on from before that does it anew.
            self._stop_after = self._training.epoch if self._training else self._journal.last_epoch()

    def _stop_if_due(self, training: Training, done: int) -> None:
        """End the fit if epoch `done`, which is over, was the last one that the caller wants."""
        if self._stop_after is not None and done >= self._stop_after:
            training.stop_training = True

    def _leave(self, ending: Leave) -> None:
        if self._training and self._assignment.kind == TRAINING:
            self._checkpoint(self._training)
        raise ending

    def _checkpoint(self, training: Training) -> None:
        """Keep the state; where that fails for now, the run goes on, and what was kept before stays."""
        path = self._folder / "checkpoint"
        progress = training.progress
        try:
            training.save(path)
            self._journal.checkpoint(path, progress.step, progress.epoch, self._keep)
            self._warned_of_storage = False
        except (OSError, StorageError) as error:
            self._warn_of_storage(error, progress.step)
        finally:
            path.unlink(missing_ok=True)
        self._next_checkpoint = time.monotonic() + self._every_seconds

    def _warn_of_storage(self, error: Exception, step: int) -> None:
        log.warning("no checkpoint at step %d", step, exc_info=error)
        if not self._warned_of_storage:
            self._warned_of_storage = True
            told = failures.failure_of(error)["detail"]
            self.warning(f"No checkpoint could be kept at step {step}, and the run goes on without. {told}")

    def _keep_results(self, training: Training, predictions: np.ndarray | None) -> None:
        if predictions is not None:
            leave_predictions(predictions, self._store)
        if self._assignment.kind != TRAINING:
            return
        self._report(training, time.monotonic())
        leave(training, self._assignment.definition, self._store)
        told = receipt(training, self._assignment, self._inputs, self._journal)
        self._store(RECEIPT, lambda path: write_json(path, told))

    def _store(self, name: str, write: Callable[[Path], object]) -> None:
        path = self._folder / name
        told = write(path)
        difference = told if isinstance(told, float) else None
        self._journal.artifact(name, path, FORMATS.get(path.suffix, "binary"), difference)
