"""Keras 1's callbacks that write down how a fit went: some leave a file, the others add nothing."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from typing import Annotated, Any

from engine.arguments import CountInt, Json, Kind, Wrong, one_of
from engine.callbacks import CALLBACKS, Callback, Fitting, History, Logs
from engine.errors import BadArgument
from engine.filenames import check_name
from engine.files import events

#: How the names of TensorBoard's files begin, by which it finds them.
EVENTS = "events.out.tfevents."


def _separator(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n':
        raise Wrong
    return value


@CALLBACKS.register("CSVLogger")
@dataclass(frozen=True)
class CSVLogger(Callback):
    """Writes the logs of every epoch into a table, which the job leaves as an artifact when its fit ends.

    Args:
        filename: The artifact's name.
        separator: What stands between two columns.
        append: Taken for compatibility: a job begins with no file to append to.
    """

    filename: str
    separator: Annotated[str, Kind("one character other than a quote or the end of a line", _separator)] = ","
    append: bool = False

    def check(self) -> None:
        """Refuse a name that is no plain file name."""
        check_name(self.filename, "filename")

    def begin(self) -> dict[str, Any]:
        """Know no columns yet."""
        return {"columns": None}

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Take the columns from the first epoch's logs."""
        if state["columns"] is None:
            state["columns"] = sorted(logs)

    def fit_end(self, state: dict[str, Any], history: History, fitting: Fitting) -> None:
        """Write the table."""
        if state["columns"] is None:
            return
        series = [history["series"][name] for name in state["columns"]]
        rows = [["epoch", *state["columns"]], *zip(history["epoch"], *series, strict=True)]
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerows(rows)
        fitting.leave(self.filename, text.getvalue().encode())


@CALLBACKS.register("TensorBoard")
@dataclass(frozen=True)
class TensorBoard(Callback):
    """Writes the logs of every epoch as scalars for TensorBoard, into a file that the job leaves when its fit ends.

    Args:
        log_dir: Taken for compatibility: the file is an artifact, called `events.out.tfevents.…`.
        histogram_freq: 0; histograms of activations and weights are not written.
        write_graph: Taken for compatibility: the model is drawn by the dashboard, and no graph is written.
        write_images: False; weights are not written as images.
    """

    log_dir: str = "./logs"
    histogram_freq: CountInt = 0
    write_graph: bool = True
    write_images: bool = False

    def check(self) -> None:
        """Refuse what would be more than scalars."""
        for name, none in (("histogram_freq", 0), ("write_images", False)):
            if value := getattr(self, name):
                raise BadArgument(
                    f"TensorBoard writes scalars only, so `{name}` must be {str(none).lower()}, but got "
                    f"{str(value).lower()}. ModelCheckpoint keeps the weights of every epoch.",
                    f"/{name}",
                )

    def begin(self) -> dict[str, Any]:
        """Note the time; files of several fits in one folder follow one another by it."""
        return {"began": time.time(), "ended": []}

    def epoch_end(self, state: dict[str, Any], epoch: int, logs: Logs, fitting: Fitting) -> None:
        """Note the time."""
        state["ended"].append(time.time())

    def fit_end(self, state: dict[str, Any], history: History, fitting: Fitting) -> None:
        """Write the file."""
        if not state["ended"]:
            return
        names = list(history["series"])
        logs = [dict(zip(names, values, strict=True)) for values in zip(*history["series"].values(), strict=True)]
        epochs = zip(state["ended"], history["epoch"], logs, strict=True)
        fitting.leave(f"{EVENTS}{int(state['began']):010d}.trainyard", events.written(state["began"], epochs))


@dataclass(frozen=True)
class _Always(Callback):
    """What the service does always: taken, and nothing more comes of it."""


@CALLBACKS.register("BaseLogger")
@dataclass(frozen=True)
class BaseLogger(_Always):
    """Averages the metrics over an epoch; the service always does, and this adds nothing."""


@CALLBACKS.register("History")
@dataclass(frozen=True)
class HistoryLogger(_Always):
    """Keeps the logs of every epoch; the service always does (`/v1/jobs/{id}/metrics`), and this adds nothing."""

    def to_json(self) -> Json:
        """Return it by its name in Keras."""
        return {"class_name": "History", "config": {}}


@CALLBACKS.register("ProgbarLogger")
@dataclass(frozen=True)
class ProgbarLogger(_Always):
    """Prints how far a run is; the service tells `progress` of every job, and this adds nothing.

    Args:
        count_mode: Taken for compatibility.
    """

    count_mode: Annotated[str, one_of("samples", "steps")] = "samples"
