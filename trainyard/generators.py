"""Training on batches that are made here: each a step of a session, sent ahead of its result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from trainyard import steps
from trainyard.ahead import Ahead
from trainyard.arrays import Array
from trainyard.callbacks import Hearing
from trainyard.calls import Json
from trainyard.errors import TrainyardError
from trainyard.following import Logs, report
from trainyard.history import History, number_of
from trainyard.running import class_weights, data, rows_of, scored

if TYPE_CHECKING:
    from trainyard.models import Sequential


def drawn(generator: Iterator[Any], samples: int) -> Iterator[tuple[Any, Any, Any]]:
    """Draw batches, `(x, y, sample_weight)`, until there are as many samples.

    Raises:
        TrainyardError: The generator ended, or yields something else.
    """
    seen = 0
    while seen < samples:
        batch = _next(generator, seen, samples)
        if not isinstance(batch, tuple) or len(batch) not in (2, 3):
            raise TrainyardError(
                f"A generator must yield (x, y) or (x, y, sample_weight), but this one yields a {type(batch).__name__}."
            )
        x, y, weights = batch if len(batch) == 3 else (*batch, None)
        seen += rows_of({"x": data(x, "x")})
        yield x, y, weights


def _next(generator: Iterator[Any], seen: int, samples: int) -> Any:
    try:
        return next(generator)
    except StopIteration:
        raise TrainyardError(
            f"The generator ended after {seen} of {samples} samples. It must yield batches for ever."
        ) from None


# -- judging and predicting ---------------------------------------------------------------------


def evaluate(model: Sequential, generator: Iterator[Any], samples: int, most: int) -> Logs:
    """Judge batch by batch, and average over the samples."""
    ahead, sizes = Ahead(model, most), []
    logs: list[Json] = []
    for x, y, weights in drawn(generator, samples):
        part = scored("evaluate", x, y, weights)
        sizes.append(rows_of(part))
        ahead.add("evaluate", part | {"batch_size": sizes[-1]}, logs.append)
    ahead.drain()
    names = model.metrics_names
    return {name: float(np.average([number_of(each[name]) for each in logs], weights=sizes)) for name in names}


def predict(model: Sequential, generator: Iterator[Any], samples: int) -> Array:
    """Predict batch by batch."""
    outputs: list[Array] = []
    while (seen := sum(len(each) for each in outputs)) < samples:
        batch = _next(generator, seen, samples)
        outputs.append(model.predict_on_batch(batch[0] if isinstance(batch, tuple) else batch))
    return np.concatenate(outputs)[:samples]


class Validation:
    """What `fit_generator` judges by after every epoch.

    Args:
        model: The model.
        given: Nothing, arrays, or a generator.
        samples: How many samples are drawn of a generator.
        most: How many of its batches may be on their way.

    Raises:
        ValueError: Nobody says how much is drawn of a generator.
    """

    def __init__(self, model: Sequential, given: Any, samples: int | None, most: int) -> None:
        self._is_drawn = hasattr(given, "__next__")
        if self._is_drawn and samples is None:
            raise ValueError("`nb_val_samples` must say how much is drawn of a generator of validation data.")
        self._model, self._given, self._samples, self._most = model, given, samples or 0, most
        self._part = None if given is None or self._is_drawn else scored("evaluate", *given)
        self._sent: Json | None = None

    def __bool__(self) -> bool:
        return self._given is not None

    def logs(self, size: int) -> Logs:
        """Judge; arrays are taken in batches of that size, as in Keras 1."""
        if self._part is None:
            logs = evaluate(self._model, self._given, self._samples, self._most) if self._is_drawn else {}
        else:
            part = self._part | {"batch_size": size}
            steps.check(self._model, "evaluate", part)
            logs = steps.opened(self._model).evaluate(part | self._once())
        return {f"val_{name}": value for name, value in logs.items()}

    def _once(self) -> Json:
        """Write the arrays as what they are sent as, so that large ones are sent once."""
        if self._sent is None:
            self._sent = steps.packed(self._model.client, self._part or {})
        return self._sent


# -- training -----------------------------------------------------------------------------------


class Fitting:
    """One `fit_generator`.

    Args:
        model: The model.
        validation: What it is judged by.
        class_weight: Weight of each class in the loss.
        most: How many batches may be on their way.
    """

    def __init__(
        self, model: Sequential, validation: Validation, class_weight: Mapping[int, float] | None, most: int
    ) -> None:
        self._model, self._validation, self._weights, self._most = model, validation, class_weights(class_weight), most

    def run(
        self, generator: Iterator[Any], samples_per_epoch: int, epochs: range, callbacks: Any, verbose: int
    ) -> History:
        """Train epoch by epoch."""
        model, hearing = self._model, Hearing(callbacks, epochs.stop, batches=True)
        served = _Beside(model, hearing)
        params: dict[str, Any] = {"nb_epoch": epochs.stop, "nb_sample": samples_per_epoch, "verbose": verbose}
        params |= {"metrics": model.metrics_names, "do_validation": bool(self._validation)}
        hearing.begin(model, params)
        told, history = report(min(verbose, 1) * 2, Console())(), History([], {}, model, params=params)
        with hearing.heard():
            history.job = steps.opened(model).stepping.job_id
            hearing.queued(history.job)
            for epoch in epochs:
                served.epoch_begin(epoch)
                hearing.epoch_begin(epoch)
                logs = self._epoch(generator, samples_per_epoch, hearing)
                served.epoch_end(epoch, logs)
                history.epoch.append(epoch)
                for name, value in logs.items():
                    history.history.setdefault(name, []).append(value)
                told.epoch(epoch, epochs.stop, logs)
                hearing.epoch_end(epoch, logs)
                if served.stop_training or model.stop_training:
                    break
            model.close()
            history.job = model.kept.job
        served.fit_end(history)
        hearing.end(history)
        return history

    def _epoch(self, generator: Iterator[Any], samples: int, hearing: Hearing) -> Logs:
        done = _Epoch(self._model, hearing, self._most)
        for x, y, weights in drawn(generator, samples):
            done.train(scored("train", x, y, weights) | self._weights)
        logs = done.logs()
        if done.samples > samples:
            warnings.warn(
                f"An epoch was to have {samples} samples, but the generator's batches make it {done.samples}. Give a "
                "`samples_per_epoch` that they add up to.",
                stacklevel=4,
            )
        return logs | self._validation.logs(done.size)


class _Epoch:
    """One epoch of training on batches.

    Args:
        model: The model.
        hearing: Who hears of them.
        most: How many may be on their way; one where somebody hears of each, who may then change the training.
    """

    def __init__(self, model: Sequential, hearing: Hearing, most: int) -> None:
        self._model, self._hearing = model, hearing
        self._ahead = Ahead(model, 1 if hearing.hears_batches else most)
        self._totals: Logs = {}
        self._batches = 0
        #: How many samples there were, and how many of them in the last batch.
        self.samples = self.size = 0

    def train(self, part: Json) -> None:
        """Train on a batch, now or soon."""
        self.size = rows_of(part)
        self.samples += self.size
        about = {"batch": self._batches, "size": self.size}
        self._batches += 1
        self._hearing.batch_begin(about["batch"], about)
        self._ahead.add("train", part, partial(self._heard, about))

    def logs(self) -> Logs:
        """Wait until all batches are trained on; return what they give on the average."""
        self._ahead.drain()
        return {name: total / self.samples for name, total in self._totals.items()}

    def _heard(self, about: dict[str, int], result: Json) -> None:
        logs = {name: number_of(result[name]) for name in self._model.metrics_names}
        for name, value in logs.items():
            self._totals[name] = self._totals.get(name, 0.0) + value * about["size"]
        self._hearing.batch_end(about["batch"], about | logs)


class _Beside:
    """The service's callbacks, run here between two jobs."""

    def __init__(self, model: Sequential, hearing: Hearing) -> None:
        self.stop_training = False
        self._model, self._folders = model, hearing.folders
        self._callbacks = [(each, each.begin()) for each in hearing.served]

    @property
    def lr(self) -> float:
        """The optimizer's learning rate."""
        return self._model.learning_rate

    @lr.setter
    def lr(self, rate: float) -> None:
        self._model.learning_rate = rate

    def warn(self, message: str) -> None:
        """Tell the user."""
        warnings.warn(message, stacklevel=2)

    def keep(self, name: str, full: bool) -> None:
        """Keep the weights as they now are."""
        self._model.save_weights(self._folder / name)

    def leave(self, name: str, content: bytes) -> None:
        """Leave a file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(content)

    def epoch_begin(self, epoch: int) -> None:
        """Ask all before an epoch."""
        for callback, state in self._callbacks:
            callback.epoch_begin(state, epoch, self)

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """Ask all after an epoch."""
        for callback, state in self._callbacks:
            self._folder = self._folders.get(id(callback), Path())
            callback.epoch_end(state, epoch, logs, self)

    def fit_end(self, history: History) -> None:
        """Ask all at the end."""
        for callback, state in self._callbacks:
            self._folder = self._folders.get(id(callback), Path())
            callback.fit_end(state, {"epoch": history.epoch, "series": history.history}, self)
