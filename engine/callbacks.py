"""Keras 1's callbacks that make sense on a server, as descriptions with a state that fits in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from engine.arguments import (
    CountInt,
    Description,
    Json,
    Kind,
    NonNegative,
    PositiveInt,
    Wrong,
    kind_of,
    list_of,
    one_of,
)
from engine.errors import BadArgument, pointer, within
from engine.filenames import check_template, fill
from engine.registry import Registry, shown

Logs = dict[str, float]
#: The epochs that have run, and the series of each log.
History = Mapping[str, Any]
Mode = Annotated[str, one_of("auto", "min", "max")]


class Fitting(Protocol):
    """What a callback may do to a training run."""

    lr: float
    stop_training: bool

    def warn(self, message: str) -> None:
        """Tell the user, once."""
        ...

    def keep(self, name: str, full: bool) -> None:
        """Keep the weights, or the whole model, as an artifact called `name`."""
        ...

    def leave(self, name: str, content: bytes) -> None:
        """Leave a file as an artifact called `name`."""
        ...


@dataclass(frozen=True)
class Callback(Description):
    """Something that is asked at the edges of every epoch.

    Its state is a JSON-able dict that it alone writes, so that a checkpoint can hold it.
    """

    def begin(self) -> dict[str, Any]:
        """Return the state before the first epoch."""
        return {}

    def epoch_begin(self, state: dict[str, Any], epoch: int, fitting: Fitting) -> None:
        """Act before an epoch's first batch."""

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Act after an epoch's validation; may add to `logs`."""

    def fit_end(self, state: dict[str, Any], history: History, fitting: Fitting) -> None:
        """Act when the last epoch is done."""

    def to_json(self) -> Json:
        """Return `{"class_name", "config"}`."""
        return {"class_name": type(self).__name__, "config": self.get_config()}


CALLBACKS: Registry[type[Callback]] = Registry("callback")


def _upwards(mode: str, monitor: str) -> bool:
    """Say whether more is better; Keras 1 goes by the name unless told."""
    return mode == "max" or (mode == "auto" and ("acc" in monitor or monitor.startswith("fmeasure")))


def _better(current: float, best: float | None, delta: float, upwards: bool) -> bool:
    if best is None:
        best = -math.inf if upwards else math.inf
    return current > best + delta if upwards else current < best - delta


@CALLBACKS.register("EarlyStopping")
@dataclass(frozen=True)
class EarlyStopping(Callback):
    """Stops when a quantity no longer improves: at the (patience + 1)-th bad epoch in a row, as Keras 1 does.

    Args:
        monitor: The log that is watched.
        min_delta: An improvement must be larger than this.
        patience: How many bad epochs in a row are borne.
        verbose: Taken for compatibility; the service always reports.
        mode: Whether less or more is better; "auto" goes by the name.
    """

    monitor: str = "val_loss"
    min_delta: NonNegative = 0.0
    patience: CountInt = 0
    verbose: CountInt = 0
    mode: Mode = "auto"

    def begin(self) -> dict[str, Any]:
        """Start with the worst value there is."""
        return {"wait": 0, "best": None}

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Count the bad epochs."""
        current = logs.get(self.monitor)
        if current is None:
            fitting.warn(_missing(self, self.monitor, logs))
            return
        if _better(current, state["best"], self.min_delta, _upwards(self.mode, self.monitor)):
            state.update(best=current, wait=0)
            return
        if state["wait"] >= self.patience:
            fitting.stop_training = True
        state["wait"] += 1


@CALLBACKS.register("ReduceLROnPlateau")
@dataclass(frozen=True)
class ReduceLROnPlateau(Callback):
    """Lowers the learning rate when a quantity no longer improves, and logs it as `lr`.

    Args:
        monitor: The log that is watched.
        factor: The rate is multiplied by this; below 1.
        patience: How many bad epochs in a row are borne.
        verbose: Taken for compatibility; the service always reports.
        mode: Whether less or more is better; "auto" goes by the name.
        epsilon: An improvement must be larger than this.
        cooldown: How many epochs after a reduction are not counted.
        min_lr: The rate never falls below this.
    """

    monitor: str = "val_loss"
    factor: NonNegative = 0.1
    patience: CountInt = 10
    verbose: CountInt = 0
    mode: Mode = "auto"
    epsilon: NonNegative = 1e-4
    cooldown: CountInt = 0
    min_lr: NonNegative = 0.0

    def check(self) -> None:
        """Refuse a factor that would not reduce."""
        if self.factor >= 1.0:
            raise BadArgument(f"`factor` must be below 1 to reduce the rate, but got {self.factor}.", "/factor")

    def begin(self) -> dict[str, Any]:
        """Start with the worst value there is."""
        return {"wait": 0, "best": None, "cooldown": 0}

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Log the rate, count the bad epochs, and reduce."""
        logs["lr"] = fitting.lr
        current = logs.get(self.monitor)
        if current is None:
            fitting.warn(_missing(self, self.monitor, logs))
            return
        if state["cooldown"] > 0:
            state.update(cooldown=state["cooldown"] - 1, wait=0)
        upwards = self.mode == "max" or (self.mode == "auto" and "acc" in self.monitor)
        if _better(current, state["best"], self.epsilon, upwards):
            state.update(best=current, wait=0)
        elif state["cooldown"] <= 0:
            self._bad(state, fitting)

    def _bad(self, state: dict[str, Any], fitting: Fitting) -> None:
        if state["wait"] >= self.patience and fitting.lr > self.min_lr + self.min_lr * 1e-4:
            fitting.lr = max(fitting.lr * self.factor, self.min_lr)
            state.update(cooldown=self.cooldown, wait=0)
        state["wait"] += 1


@CALLBACKS.register("ModelCheckpoint")
@dataclass(frozen=True)
class ModelCheckpoint(Callback):
    """Keeps the weights after an epoch as an artifact of the job.

    Args:
        filepath: The artifact's name; `{epoch:02d}` and `{val_loss:.2f}` stand for the epoch (from 0) and any log.
        monitor: The log that is watched with `save_best_only`.
        verbose: Taken for compatibility; the service always reports.
        save_best_only: Whether only a better epoch is kept.
        save_weights_only: Taken for compatibility: weights are what is kept.
        mode: Whether less or more is better; "auto" goes by the name.
        period: Every how many epochs it looks.
    """

    filepath: str
    monitor: str = "val_loss"
    verbose: CountInt = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: Mode = "auto"
    period: PositiveInt = 1

    def check(self) -> None:
        """Refuse a name that is no plain file name or that no epoch could fill in."""
        check_template(self.filepath)

    def begin(self) -> dict[str, Any]:
        """Start with the worst value there is."""
        return {"since": 0, "best": None}

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Keep the weights where the epoch is due, and better where that is asked."""
        state["since"] += 1
        if state["since"] < self.period:
            return
        state["since"] = 0
        if self.save_best_only and not self._improves(state, logs, fitting):
            return
        fitting.keep(fill(self.filepath, epoch, logs), full=not self.save_weights_only)

    def _improves(self, state: dict[str, Any], logs: Logs, fitting: Fitting) -> bool:
        current = logs.get(self.monitor)
        if current is None:
            fitting.warn(_missing(self, self.monitor, logs))
            return False
        if not _better(current, state["best"], 0.0, _upwards(self.mode, self.monitor)):
            return False
        state["best"] = current
        return True


def _rates(value: Any) -> tuple[float, ...] | Mapping[int, float]:
    rate = kind_of(NonNegative)
    if isinstance(value, Mapping) and value:
        table = {}
        for key, each in value.items():
            if not str(key).isdecimal():
                raise Wrong(f"{shown(key)} is no epoch")
            with within(key):
                table[int(key)] = _rate(rate, each)
        return table
    if isinstance(value, list | tuple) and value:
        rates: tuple[float, ...] = list_of(rate, "a list of rates").read(value)
        return rates
    raise Wrong


def _rate(kind: Kind, value: Any) -> float:
    try:
        number: float = kind.read(value)
    except Wrong:
        raise BadArgument(f"A learning rate must be {kind.expects}, but got {shown(value)}.") from None
    return number


def _written(value: tuple[float, ...] | Mapping[int, float]) -> Json:
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) else list(value)


Schedule = Annotated[
    tuple[float, ...] | Mapping[int, float],
    Kind('a list of one rate an epoch, or a table such as {"0": 0.1, "10": 0.01}', _rates, _written),
]


@CALLBACKS.register("LearningRateScheduler")
@dataclass(frozen=True)
class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch, from a table in place of Keras 1's function.

    Args:
        schedule: One rate an epoch (the last one holds on), or `{"0": 0.1, "10": 0.01}`: from which epoch which rate.
    """

    schedule: Schedule

    def epoch_begin(self, state: dict[str, Any], epoch: int, fitting: Fitting) -> None:
        """Set the rate of this epoch, if the table has begun."""
        if isinstance(self.schedule, Mapping):
            due = [each for each in self.schedule if each <= epoch]
            if due:
                fitting.lr = self.schedule[max(due)]
            return
        fitting.lr = self.schedule[min(epoch, len(self.schedule) - 1)]


#: Callbacks of Keras that a server cannot take, and what is there instead.
REFUSED = {
    "LambdaCallback": "it runs code of yours, which a server does not. Watch the job from outside: "
    "`GET /v1/jobs/{id}/events` streams every epoch.",
    "RemoteMonitor": "a job calls no address. `GET /v1/jobs/{id}/events` streams every epoch to whoever asks.",
}


def _missing(callback: Callback, monitor: str, logs: Logs) -> str:
    return (
        f"{type(callback).__name__} watches {monitor!r}, which is not logged; there are {', '.join(sorted(logs))}. "
        "It does nothing."
    )


def _read(value: Any) -> Callback:
    if isinstance(value, Callback):
        return value
    if isinstance(value, str):
        value = {"class_name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        raise Wrong
    for key in value:
        if key not in ("class_name", "config"):
            raise BadArgument(f"A callback has no key {shown(key)}.", pointer(key))
    with within("class_name"):
        if why := REFUSED.get(value["class_name"]):
            raise BadArgument(f"{value['class_name']} is not taken: {why}")
        cls = CALLBACKS[value["class_name"]]
    with within("config"):
        return cls.from_config(value.get("config", {}))


Callbacks = Annotated[
    tuple[Callback, ...],
    list_of(
        Kind(
            'a callback, such as {"class_name": "EarlyStopping", "config": {}}',
            _read,
            lambda each: each.to_json(),
        ),
        "a list of callbacks",
    ),
]
