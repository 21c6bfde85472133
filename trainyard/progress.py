"""Live bars: a file on its way, a job in training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from trainyard.transfers import Moved

Json = Mapping[str, Any]

#: What stands first when there is room for few numbers.
_FIRST = ("loss", "acc", "val_loss", "val_acc")

STYLES = {
    "queued": "yellow",
    "running": "cyan",
    "cancelling": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}


@contextmanager
def moving(console: Console, what: str, total: int) -> Iterator[Moved]:
    """Show how much of a file has gone or come."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=total)

        def moved(count: int) -> None:
            bars.update(task, completed=count)

        yield moved


class TrainingBar:
    """One line that follows a job: epoch, numbers, speed, time left."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("{task.fields[speed]}", style="dim"),
            console=console,
        )
        self._task = self._bars.add_task("queued", total=1.0, numbers="", speed="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, job: Json) -> None:
        """Draw a job as it now is."""
        progress = job.get("progress") or {}
        self._bars.update(
            self._task,
            description=headline(job),
            completed=1.0 if job["state"] == "succeeded" else number(progress.get("fraction")) or 0.0,
            numbers=escape(numbers(job.get("metrics") or {})),
            speed=speed(job),
        )


def headline(job: Json) -> str:
    """`epoch 3/20` while training, otherwise the state."""
    progress = job.get("progress") or {}
    state = job["state"]
    style = STYLES.get(state, "white")
    if state == "running" and progress.get("phase") == "compile":
        return f"[{style}]compiling[/]"
    if state == "running" and progress.get("nb_epoch"):
        epoch = min(progress.get("epoch", 0) + 1, progress["nb_epoch"])
        return f"[{style}]epoch {epoch}/{progress['nb_epoch']}[/]"
    if state == "running" and progress.get("phase") == "session":
        return f"[{style}]session, {progress['step']:,} steps[/]"
    reason = f" ({escape(job['reason'])})" if job.get("reason") else ""
    return f"[{style}]{state}{reason}[/]"


def numbers(metrics: Json) -> str:
    """`loss 0.1234  acc 0.9876  val_acc 0.9800`."""
    order = [*(name for name in _FIRST if name in metrics), *sorted(set(metrics) - set(_FIRST))]
    return "  ".join(f"{name} {brief(metrics[name])}" for name in order)


def speed(job: Json) -> str:
    """Samples a second and the time left, while there is any."""
    progress = job.get("progress") or {}
    rate, left = number(progress.get("samples_per_second")), number(progress.get("eta_seconds"))
    parts = [f"{rate:,.0f} samples/s"] if rate else []
    if job["state"] == "running" and left is not None:
        parts.append(f"ETA {timedelta(seconds=round(left))}")
    return "  ".join(parts)


def brief(value: object) -> str:
    """A number in a few digits; the strings that stand for NaN and infinity stay."""
    known = number(value)
    return str(value) if known is None else f"{known:.4g}" if abs(known) < 1e-3 and known else f"{known:.4f}"


def number(value: object) -> float | None:
    """A JSON number, or None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
