"""Keras 1's fit, evaluate and predict over a state that can be saved between any two batches."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.callbacks import Logs
from engine.errors import BadFile, Diverged
from engine.matching import Fed
from engine.methods import Evaluate, Fit, Predict
from engine.plan import Plan
from engine.sources import Arrays
from engine.training import checkpoint, weights
from engine.training.answers import answer
from engine.training.compilation import Stepper
from engine.training.cost import threads_for
from engine.training.data import Batch, Feed, Loader, made_up, order_of
from engine.training.images import Images
from engine.training.noise import NoiseSource
from engine.training.step import State, Step
from engine.training.stored import Stored
from engine.training.tables import tables_of
from engine.training.watching import Progress, Watcher

COMPILER_POLL_SECONDS = 0.02


class Training(Stored):
    """A plan at work.

    Args:
        plan: What to do.
        arrays: Loads one array of a stored dataset.
        seed: Where every draw comes from: initial weights, shuffles, dropout.
        device: Where to compute, in torch's words.
        stop_on_nan: Whether a loss that is no number ends the run.
    """

    def __init__(self, plan: Plan, arrays: Arrays, seed: int, device: str = "cpu", *, stop_on_nan: bool = True) -> None:
        self.plan, self.seed, self.device = plan, seed, torch.device(device)
        self.stop_on_nan = stop_on_nan
        if self.device.type == "cpu":
            torch.set_num_threads(threads_for(plan, torch.get_num_threads()))
        tables = tables_of(plan.model, plan.compile, plan.fit.batch_size) if plan.fit else ()
        self.step = Step(plan.model, plan.compile, self.device, tables)
        self.names = plan.compile.metric_names() if plan.compile else []
        self.loader = Loader(plan.model, plan.compile, arrays, self.device)
        self.images = Images(plan.fit.augmentation if plan.fit else None)
        self.noise = NoiseSource(seed, self.device)
        self.stepper = Stepper(self.step, plan, self.noise)
        drawn = weights.initial(plan.model, seed)
        self.state: State = self.step.start(
            {key: torch.from_numpy(each).to(self.device) for key, each in drawn.items()}
        )
        self.made_by = checkpoint.maker(self.device)
        self._exact = checkpoint.repeats(self.device)
        self._compiled_before = False
        self.phase = "session" if plan.session else "fit"
        self.compiling = False
        self.epoch = plan.fit.initial_epoch if plan.fit else 0
        self.done = 0  # batches of this epoch
        self.steps = 0
        self.samples = 0
        self.counted = 0
        self.validated = 0  # batches, over all epochs
        self.number = 0  # of the last step of a session that is done
        self.latest: Logs = {}  # what such a step has told last
        self.history: dict[str, Any] = {"epoch": [], "series": {}}
        self.callbacks = (plan.fit.callbacks if plan.fit else None) or ()
        self.callback_states = [each.begin() for each in self.callbacks]
        self.stop_training = False
        self.warned: set[str] = set()
        self._remembered_after_fit: State | None = None
        self._feeds: tuple[Feed, Feed | None] | None = None
        self._watcher: Watcher | None = None

    def reset_states(self, layer: str | None = None) -> None:
        """Make stateful layers forget: all of them, or one."""
        self.state = self.state | self.step.forgotten(layer)

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of what happens."""
        self._watcher = watcher

    # -- checkpoints --------------------------------------------------------------------------

    @property
    def is_exact(self) -> bool:
        """Whether the run, interrupted anywhere, ends in the same bits; not where its code could not be had again."""
        return self._exact and (self.stepper.compiles or not self._compiled_before)

    def save(self, path: Path) -> None:
        """Write everything that the rest of the run depends on.

        Raises:
            OSError: The disk is full, or fails.
        """
        facts = {
            "made_by": self.made_by,
            "exact": self.is_exact,
            "seed": self.seed,
            "threads": torch.get_num_threads(),
            "phase": self.phase,
            "epoch": self.epoch,
            "done": self.done,
            "steps": self.steps,
            "samples": self.samples,
            "counted": self.counted,
            "validated": self.validated,
            "number": self.number,
            "latest": self.latest,
            "history": self.history,
            "callbacks": self.callback_states,
            "stop_training": self.stop_training,
            "warned": sorted(self.warned),
            "compiles": self.stepper.compiles,
        }
        checkpoint.write(path, self.state | (self._remembered_after_fit or {}), facts)  # what follows is done anew

    def restore(self, path: Path, exact: bool = True) -> None:
        """Go back to where a checkpoint was written; what follows is the same to the last bit.

        Args:
            path: The checkpoint.
            exact: Whether to refuse one from which the bits would differ; else it is used, and `is_exact` no more.

        Raises:
            BadFile: The checkpoint is damaged, or of another job.
            Inexact: What follows would not be the same: it was made by another version, or on another kind of machine.
        """
        state, facts = checkpoint.read(path, self.device, self.made_by if exact else None)
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in self.state.items()}:
            raise BadFile("The checkpoint belongs to another model.")
        if self.device.type == "cpu":
            torch.set_num_threads(facts["threads"])  # sums over threads depend on how many there are
        self.state, self._remembered_after_fit = state, None
        self.seed = self.noise.seed = facts["seed"]
        self.phase, self.epoch, self.done = facts["phase"], facts["epoch"], facts["done"]
        self.steps, self.samples, self.counted = facts["steps"], facts["samples"], facts["counted"]
        self.validated, self.number, self.latest = facts["validated"], facts["number"], facts["latest"]
        self.history, self.callback_states = facts["history"], facts["callbacks"]
        self.stop_training, self.warned = facts["stop_training"], set(facts["warned"])
        self.stepper.compiles = self._compiled_before = facts["compiles"]
        self._exact = facts["exact"] and (exact or facts["made_by"] == self.made_by)

    # -- what callbacks may do ----------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The optimizer's learning rate, before decay."""
        return float(self.state["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        self.state["lr"] = torch.full_like(self.state["lr"], value)

    def warn(self, message: str) -> None:
        """Tell the user something, once."""
        if message not in self.warned:
            self.warned.add(message)
            if self._watcher:
                self._watcher.warning(message)

    def keep(self, name: str, full: bool) -> None:
        """Keep the weights as an artifact."""
        if self._watcher:
            self._watcher.artifact(name, lambda path: self.save_weights(path, "hdf5"))

    def leave(self, name: str, content: bytes) -> None:
        """Leave a file as an artifact."""
        if self._watcher:
            self._watcher.artifact(name, lambda path: path.write_bytes(content))

    # -- fit ----------------------------------------------------------------------------------

    def fit(self, watcher: Watcher) -> None:
        """Train, from the beginning or from where `restore` went back to.

        Raises:
            BadData: The data holds what the model or the loss cannot take.
            Diverged: The loss is no longer a number.
        """
        fit = self.plan.fit
        if fit is None or self.phase != "fit":
            return
        self._watcher = watcher
        train, held_out = self._load(fit)
        with closing(self.stepper), torch.no_grad():
            if fit.samples_per_epoch is None:
                whole = max(1, len(train) // fit.batch_size)
                self.stepper.begin(self.state, next(train.batches(fit.batch_size)), whole)
            while self.epoch < fit.nb_epoch and not self.stop_training:
                self._begin_epoch()
                self._train_epoch(fit, train, watcher)
                logs = self._end_epoch(fit, held_out)
                watcher.epoch(self.epoch - 1, logs)
        for callback, state in zip(self.callbacks, self.callback_states, strict=True):
            callback.fit_end(state, self.history, self)
        if fit.reset_states == "fit":
            self.reset_states()
        self.phase = "evaluate"

    def _load(self, fit: Fit) -> tuple[Feed, Feed | None]:
        if self._feeds is None:
            if self.plan.fed_fit is None:
                raise RuntimeError("a plan with a fit has its data")
            train, held_out = self.loader.feed(self.plan.fed_fit, fit)
            self.images.learn(train)
            if self.plan.fed_validation is not None:
                held_out = self.loader.feed(self.plan.fed_validation)[0]
            self._feeds = train, held_out
        return self._feeds

    def _begin_epoch(self) -> None:
        if self.done == 0:
            for callback, state in zip(self.callbacks, self.callback_states, strict=True):
                callback.epoch_begin(state, self.epoch, self)

    def _train_epoch(self, fit: Fit, train: Feed, watcher: Watcher) -> None:
        if fit.samples_per_epoch is not None:
            for batch in train.stream(fit.batch_size, self.steps, fit.samples_per_epoch - self.counted):
                self.train_on(batch)
                watcher.batch()
            return
        order = order_of(fit, len(train), self.seed, self.epoch)
        while self.done < train.steps(fit.batch_size):
            self._await_compiler(watcher)
            together = self.stepper.together(self.steps)
            batches = train.batches(fit.batch_size, order, self.done, together)
            for batch in islice(batches, self.stepper.until_switch(self.steps)):
                self.train_on(batch)
                watcher.batch()

    def _await_compiler(self, watcher: Watcher) -> None:
        while self.stepper.waits(self.steps):
            self.compiling = True
            watcher.batch()
            time.sleep(COMPILER_POLL_SECONDS)
        self.compiling = False

    def train_on(self, batch: Batch) -> None:
        """Take the next step, or the next ones, where several batches lie together; `totals` grows."""
        self.state = self.stepper(self.state, self.images.moved(batch, self.seed, self.steps), self.steps)
        self.counted += batch.size
        self.samples += batch.size
        self.steps += batch.steps
        self.done += batch.steps

    def _end_epoch(self, fit: Fit, held_out: Feed | None) -> Logs:
        logs = self._means()
        self._check_finite(logs)
        if held_out is not None:
            logs |= {f"val_{name}": value for name, value in self._validate(fit, held_out).items()}
        if fit.reset_states == "epoch":
            self.reset_states()
        for callback, state in zip(self.callbacks, self.callback_states, strict=True):
            callback.epoch_end(state, self.epoch, logs, self)
        self.history["epoch"].append(self.epoch)
        for name, value in logs.items():
            self.history["series"].setdefault(name, []).append(value)
        self.epoch, self.done, self.counted = self.epoch + 1, 0, 0
        self.state["totals"] = torch.zeros_like(self.state["totals"])
        return logs

    def _validate(self, fit: Fit, held_out: Feed) -> Logs:
        apart = self.plan.fed_validation
        size = apart.batch_size if apart and apart.batch_size else fit.batch_size
        if fit.nb_val_samples is None:
            return self._judge(held_out.batches(size), None)
        return self._judge(self._counted(held_out.stream(size, self.validated, fit.nb_val_samples)), None)

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.validated += 1
            yield batch

    def _means(self) -> Logs:
        means = (self.state["totals"] / max(1, self.counted)).tolist()
        return dict(zip(self.names, means, strict=True))

    def _check_finite(self, logs: Logs) -> None:
        if self.stop_on_nan and not math.isfinite(logs.get("loss", 0.0)):
            raise Diverged(
                f"The loss became {logs['loss']} in epoch {self.epoch} by step {self.steps}. A smaller learning rate, "
                "clipnorm, or a look at the data for values that are not finite may help.",
                "/compile/optimizer",
            )

    # -- evaluate and predict -----------------------------------------------------------------

    def evaluate(self, watcher: Watcher) -> Logs:
        """Judge the model on the plan's evaluation data: the loss and the metrics, averaged over samples."""
        if self.plan.evaluate is None or self.plan.fed_evaluate is None:
            return {}
        self._enter("evaluate", self.plan.evaluate.reset_states)
        return self.judged(self.plan.evaluate, self.plan.fed_evaluate, watcher)

    def judged(self, use: Evaluate, fed: Fed, watcher: Watcher | None) -> Logs:
        """Judge the model as it now is, and as stateful layers go on, on some data."""
        feed, _ = self.loader.feed(fed)
        size, samples = use.batch_size, use.val_samples
        return self._judge(feed.stream(size, 0, samples) if samples else feed.batches(size), watcher)

    def _enter(self, phase: str, forget: bool) -> None:
        """Leave the fit behind; a checkpoint from now on still holds what stateful layers remember at its end."""
        if self.images.learns and self.plan.fit:
            self._load(self.plan.fit)
        if self._remembered_after_fit is None:
            self._remembered_after_fit = self.step.remembered(self.state)
        self.phase = phase
        if forget:
            self.reset_states()

    def _judge(self, batches: Iterator[Batch], watcher: Watcher | None) -> Logs:
        totals, seen = torch.zeros_like(self.state["totals"]), 0
        with torch.no_grad():
            for batch in batches:
                values, self.state = self.step.test(self.state, self.images.standing(batch))
                totals, seen = totals + values.double() * batch.size, seen + batch.size
                if watcher:
                    watcher.batch()
        return dict(zip(self.names, (totals / seen).tolist(), strict=True))

    def predict(self, watcher: Watcher) -> NDArray[Any]:
        """Return the outputs for the plan's prediction data, `(n, ...)`, or their classes."""
        if self.plan.predict is None or self.plan.fed_predict is None:
            raise RuntimeError("the plan predicts nothing")
        self._enter("predict", self.plan.predict.reset_states)
        self._watcher = watcher
        return self.predicted(self.plan.predict, self.plan.fed_predict, watcher)

    def predicted(self, use: Predict, fed: Fed, watcher: Watcher | None) -> NDArray[Any]:
        """Predict with the model as it now is, and as stateful layers go on, for some data."""
        feed, _ = self.loader.feed(fed)
        parts = []
        with torch.no_grad():
            for batch in feed.batches(use.batch_size):
                y, self.state = self.step.predict(self.state, self.images.standing(batch).x)
                parts.append(y.cpu().numpy())
                if watcher:
                    watcher.batch()
        return answer(np.concatenate(parts), use.method, self.warn)

    def sample(self, rows: int) -> tuple[Tensor, ...]:
        """Return the inputs of some samples of the data at hand, or made up; of as many as fit where that is fixed."""
        plan = self.plan
        fed = plan.fed_predict or plan.fed_evaluate or plan.fed_fit
        rows = plan.model.inputs()[0].shape[0] or rows
        return self.loader.sample(fed, rows) if fed else tuple(made_up(each, rows) for each in plan.model.inputs())

    @property
    def progress(self) -> Progress:
        """How far the run is.

        Raises:
            Diverged: The loss of the epoch so far is no number.
        """
        if self.phase == "session":
            return Progress(self.phase, 0, 0, self.number, 0, self.samples, self.latest)
        metrics = self._means() if self.counted else {}
        self._check_finite(metrics)
        fit = self.plan.fit
        total = self.plan.estimate["total_steps"]
        phase = "compile" if self.compiling else self.phase
        return Progress(phase, self.epoch, fit.nb_epoch if fit else 0, self.steps, total, self.samples, metrics)
