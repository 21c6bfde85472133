"""A job followed to its end: what is shown of it, who is told of its epochs, what Ctrl-C does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from rich.console import Console

from trainyard.asking import TERMINAL
from trainyard.calls import Json
from trainyard.errors import Detached, JobCancelled, JobFailed, Refused, TrainyardError
from trainyard.history import number_of
from trainyard.http import Client
from trainyard.progress import TrainingBar, numbers

Logs = dict[str, float]
#: Told of each epoch that is done: its number, counted from 0, and its logs.
Told = Callable[[int, Logs], None]

INTERRUPTS = ("ask", "detach", "cancel")


class Silent:
    """What a person sees of a job: nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def show(self, job: Json) -> None:
        """Draw nothing."""

    def epoch(self, number: int, of: int, logs: Logs) -> None:
        """Tell nothing."""


class Lines(Silent):
    """A line for each epoch, where nothing can be drawn over."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def epoch(self, number: int, of: int, logs: Logs) -> None:
        """Write the line."""
        self._console.print(f"epoch {number + 1}/{of}  {numbers(logs)}", soft_wrap=True, highlight=False, markup=False)


class Bar(Silent):
    """One line that is drawn over, in a terminal or a notebook."""

    def __init__(self, console: Console) -> None:
        self._bar = TrainingBar(console)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(None, None, None)

    def show(self, job: Json) -> None:
        """Draw a job as it now is."""
        self._bar.show(job)


def report(verbose: int, console: Console) -> Callable[[], Silent]:
    """Choose by Keras 1's `verbose`: 0 shows nothing, 1 a bar where one can be drawn, 2 a line for each epoch."""
    if not verbose:
        return Silent
    if verbose == 1 and (console.is_terminal or console.is_jupyter):
        return lambda: Bar(console)
    return lambda: Lines(console)


class Following:
    """One job, followed.

    Args:
        client: Whom to ask.
        job_id: Which job.
        verbose: How much is shown, as Keras 1 has it.
        queued: Who hears which job it is, before anything of it is told.
        told: Who hears of each epoch beside the person.
        on_interrupt: What the first Ctrl-C does: "ask" (where there is a terminal; elsewhere it detaches), "detach", or
            "cancel".
        console: Where it is shown.
    """

    def __init__(
        self,
        client: Client,
        job_id: str,
        verbose: int = 0,
        queued: Callable[[str], None] | None = None,
        told: Told | None = None,
        on_interrupt: str = "ask",
        console: Console | None = None,
    ) -> None:
        check_interrupt(on_interrupt)
        self._client, self._job_id, self._on_interrupt = client, job_id, on_interrupt
        self._queued, self._told = queued, told
        self._console = console or Console()
        self._report = report(verbose, self._console)
        self._epochs_told = 0
        self._hears_epochs = told is not None or self._report is not Silent

    def to_the_end(self) -> Json:
        """Wait for the job's good end.

        Raises:
            JobFailed: It did not succeed.
            Detached: It was let go of.
            Unreachable: The service has been away for too long.
        """
        if self._report is not Silent:
            self._console.print(f"[bold]{self._job_id}[/]", soft_wrap=True, highlight=False)
        while True:
            try:
                job = self._watched()
            except KeyboardInterrupt:
                self._interrupted()
            except Exception as error:  # the service is away, or who is told of epochs cannot bear them
                error.add_note(f"{self._job_id} may run on. Come back to it with Sequential.attach({self._job_id!r}).")
                raise
            else:
                return succeeded(job)

    def _watched(self) -> Json:
        queued, self._queued = self._queued, None
        if queued:
            queued(self._job_id)
        with self._report() as shown:
            for job in self._client.watch(self._job_id):
                shown.show(job)
                if self._hears_epochs:
                    self._tell(job, shown)
        return job

    def _tell(self, job: Json, shown: Silent) -> None:
        fit = job["definition"].get("fit") or {}
        done = (job.get("progress") or {}).get("epoch", 0) - fit.get("initial_epoch", 0)
        if done <= self._epochs_told and job["state"] not in TERMINAL:
            return
        metrics = self._client.jobs.metrics(self._job_id)
        for index, epoch in list(enumerate(metrics["epoch"]))[self._epochs_told :]:
            logs = {name: number_of(values[index]) for name, values in metrics["series"].items()}
            shown.epoch(epoch, fit.get("nb_epoch", 0), logs)
            if self._told:
                self._told(epoch, logs)
        self._epochs_told = len(metrics["epoch"])

    def _interrupted(self) -> None:
        wish = self._on_interrupt
        if wish == "ask":
            wish = _ask(self._console, self._job_id)
        if wish == "detach":
            raise Detached(self._job_id) from None
        if wish == "cancel":
            with suppress(Refused):  # it has ended just now
                self._client.jobs.cancel(self._job_id)


def check_interrupt(on_interrupt: str) -> None:
    """Refuse what Ctrl-C cannot do.

    Raises:
        TrainyardError: It is none of `INTERRUPTS`.
    """
    if on_interrupt not in INTERRUPTS:
        raise TrainyardError(f"`on_interrupt` must be one of {', '.join(INTERRUPTS)}, but got {on_interrupt!r}.")


def _ask(console: Console, job_id: str) -> str:
    if not sys.stdin.isatty():
        return "detach"
    try:
        answer = console.input(f"{job_id}: [b]d[/]etach, [b]c[/]ancel or go [b]o[/]n? ").strip().lower()
    except (KeyboardInterrupt, EOFError):
        return "detach"
    return {"c": "cancel", "o": "go on"}.get(answer[:1], "detach")


def succeeded(job: Json) -> Json:
    """Let a job that succeeded pass.

    Raises:
        JobFailed: It did not.
    """
    if job["state"] == "cancelled":
        raise JobCancelled(job)
    if job["state"] != "succeeded":
        raise JobFailed(job)
    return job
