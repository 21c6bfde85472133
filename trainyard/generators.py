"""Training on batches that are made here: drawn an epoch at a time, and trained on in order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from trainyard.arrays import Array
from trainyard.callbacks import Hearing
from trainyard.errors import TrainyardError
from trainyard.following import Logs, report
from trainyard.history import History

if TYPE_CHECKING:
    from trainyard.models import Sequential


@dataclass(frozen=True)
class Drawn:
    """Batches, one after the other.

    Args:
        x: The inputs of all of them, a list where there are several.
        y: Their targets.
        sample_weight: Their weights, if they have any.
        sizes: How many samples each batch has.
    """

    x: Any
    y: Any
    sample_weight: Array | None
    sizes: tuple[int, ...]

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(self.sizes)

    def runs(self) -> Iterator[Drawn]:
        """Cut them where a batch is of another size than those before it; a smaller one may end a run."""
        start, first = 0, 0
        for index, (one, other) in enumerate(pairwise((*self.sizes, -1)), 1):
            if other == -1 or one != self.sizes[first] or other > one:
                stop = start + sum(self.sizes[first:index])
                yield self._between(start, stop, self.sizes[first:index])
                start, first = stop, index

    def _between(self, start: int, stop: int, sizes: tuple[int, ...]) -> Drawn:
        x = [each[start:stop] for each in self.x] if isinstance(self.x, list) else self.x[start:stop]
        weights = None if self.sample_weight is None else self.sample_weight[start:stop]
        return Drawn(x, self.y[start:stop], weights, sizes)


def drawn(generator: Iterator[Any], samples: int, targets: bool = True) -> Drawn:
    """Draw batches until there are as many samples.

    Raises:
        TrainyardError: The generator ended, or yields something else.
    """
    parts: list[tuple[Any, ...]] = []
    sizes: list[int] = []
    while sum(sizes) < samples:
        try:
            part = _read(next(generator), targets)
        except StopIteration:
            raise TrainyardError(
                f"The generator ended after {sum(sizes)} of {samples} samples. It must yield batches for ever."
            ) from None
        parts.append(part)
        sizes.append(len(part[0][0] if isinstance(part[0], list) else part[0]))
    x, y, weights = zip(*parts, strict=True)
    return Drawn(_joined(x), None if y[0] is None else _joined(y), _weights(weights), tuple(sizes))


def _read(batch: Any, targets: bool) -> tuple[Any, Any, Any]:
    if not targets and not isinstance(batch, tuple):
        return batch, None, None
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        raise TrainyardError(
            f"A generator must yield (x, y) or (x, y, sample_weight), but this one yields a {type(batch).__name__}."
        )
    x, y, *weight = batch
    return x, y if targets else None, weight[0] if weight and targets else None


def _joined(parts: tuple[Any, ...]) -> Any:
    if isinstance(parts[0], list):
        return [np.concatenate([part[index] for part in parts]) for index in range(len(parts[0]))]
    return np.concatenate([np.asarray(part) for part in parts])


def _weights(parts: tuple[Any, ...]) -> Array | None:
    given = [each is not None for each in parts]
    if any(given) and not all(given):
        raise TrainyardError("Some batches of the generator have sample weights, and others have none.")
    return np.concatenate([np.asarray(part) for part in parts]) if all(given) else None


def check_forgets(model: Sequential, what: str) -> None:
    """Refuse models whose states would have to last from one job to the next.

    Raises:
        TrainyardError: The model is stateful.
    """
    if model.settled.all_memories:
        raise TrainyardError(
            f"`{what}` makes jobs that go on from one another, but not with the states of stateful layers, which begin "
            "with zeros in each. Give the whole data to one `fit` with shuffle=False."
        )


class Fitting:
    """One `fit_generator`.

    Args:
        model: The model.
        class_weight: Weight of each class in the loss.
        validation_data: Arrays, or a generator.
        nb_val_samples: How many samples are drawn of a generator.
    """

    def __init__(
        self,
        model: Sequential,
        class_weight: Mapping[int, float] | None,
        validation_data: Any,
        nb_val_samples: int | None,
    ) -> None:
        check_forgets(model, "fit_generator")
        if hasattr(validation_data, "__next__") and nb_val_samples is None:
            raise ValueError("`nb_val_samples` must say how much is drawn of a generator of validation data.")
        self.model, self.class_weight = model, class_weight
        self.validation_data, self.nb_val_samples = validation_data, nb_val_samples

    def run(
        self, generator: Iterator[Any], samples_per_epoch: int, epochs: range, callbacks: Any, verbose: int
    ) -> History:
        """Train epoch by epoch."""
        hearing = Hearing(callbacks, epochs.stop)
        served = _Beside(self.model, hearing)
        params: dict[str, Any] = {"nb_epoch": epochs.stop, "nb_sample": samples_per_epoch, "verbose": verbose}
        params |= {"metrics": self.model.metrics_names, "do_validation": self.validation_data is not None}
        hearing.begin(self.model, params)
        told, history = report(min(verbose, 1) * 2, Console())(), History([], {}, self.model, params=params)
        for epoch in epochs:
            served.epoch_begin(epoch)
            logs, history.job = self._epoch(drawn(generator, samples_per_epoch), epoch)
            served.epoch_end(epoch, logs)
            history.epoch.append(epoch)
            for name, value in logs.items():
                history.history.setdefault(name, []).append(value)
            told.epoch(epoch, epochs.stop, logs)
            hearing.epoch(epoch, logs)
            if served.stop_training or self.model.stop_training:
                break
        served.fit_end(history)
        hearing.end(history)
        return history

    def _epoch(self, batches: Drawn, epoch: int) -> tuple[Logs, str | None]:
        logs: Logs = {}
        runs = list(batches.runs())
        for index, each in enumerate(runs):
            last = index == len(runs) - 1
            done = self.model.fit(
                each.x,
                each.y,
                each.sizes[0],
                epoch + 1,
                0,
                validation_data=self._validation(each.sizes[-1]) if last else None,
                shuffle=False,
                class_weight=self.class_weight,
                sample_weight=each.sample_weight,
                initial_epoch=epoch,
            )
            for name, values in done.history.items():
                share = 1.0 if name.startswith("val_") else each.samples / batches.samples
                logs[name] = logs.get(name, 0.0) + values[-1] * share
        return logs, done.job

    def _validation(self, size: int) -> Any:
        given = self.validation_data
        if not hasattr(given, "__next__"):
            if given is None:
                return None
            x, y, *weights = given
            return {"x": x, "y": y, "batch_size": size, **({"sample_weight": weights[0]} if weights else {})}
        batches = drawn(given, self.nb_val_samples or 0)
        weighted = {} if batches.sample_weight is None else {"sample_weight": batches.sample_weight}
        return {"x": batches.x, "y": batches.y, "batch_size": batches.sizes[0], **weighted}


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
