"""The command line: `trainyard up`, `submit`, `follow`, `jobs`, `stop`, `cancel`, `download`, `keys`."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from trainyard import follow
from trainyard.errors import TrainyardError
from trainyard.http import Client
from trainyard.progress import STYLES, headline, number, numbers

out = Console()
err = Console(stderr=True)


class Readable(TyperGroup):
    """Commands whose refusals are read, not traced."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 1 and a message when it cannot be done."""
        try:
            return super().invoke(ctx)
        except TrainyardError as error:
            err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error


app = typer.Typer(cls=Readable, no_args_is_help=True, help="Train Keras models as a service.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys, written to the database of a yard.")
app.add_typer(keys_app, name="keys")

Url = Annotated[str | None, typer.Option("--url", help="Where the service listens; TRAINYARD_URL.")]
Folder = Annotated[Path, typer.Option("--data", help="Folder that holds all the yard keeps.")]


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    data: Folder = Path(".trainyard"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    submit: Annotated[Path | None, typer.Option(help="Submit this job once it is up.")] = None,
    data_file: Annotated[Path | None, typer.Option(help="Upload this first, as $data of the job.")] = None,
) -> None:
    """Run a whole yard here: gateway, workers, database and storage in one folder."""
    from trainyard.yard import Yard

    handler = RichHandler(console=err, show_path=False)
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[handler])
    yard = Yard(data, host, port, workers)
    with ended_by_signals(), yard.running():
        out.print(f"Trainyard is up at {yard.url}", style="green", soft_wrap=True)
        out.print(f"Everything is kept in {yard.folder}; Ctrl-C ends it.", soft_wrap=True)
        if submit:
            run_first_job(yard.url, yard.folder, submit, data_file)
        out.print(f"Jobs, curves and models to look at: {yard.url}/", style="green", soft_wrap=True)
        threading.Event().wait()


@app.command()
def submit(
    job: Annotated[Path, typer.Argument(help="The job as JSON; $data/x means array x of --data.")],
    data: Annotated[Path | None, typer.Option(help="Upload this first, as $data of the job.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", help="Watch it to its end.")] = False,
    url: Url = None,
) -> None:
    """Upload data and queue a job."""
    with Client(url) as client:
        sent = follow.send(client, out, job, data)
        if follow_:
            watch_to_the_end(client, sent["id"])


@app.command("follow")
def follow_job(job: str, url: Url = None) -> None:
    """Watch a job to its end; 0 only if it succeeded."""
    with Client(url) as client:
        watch_to_the_end(client, job)


@app.command()
def jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    url: Url = None,
) -> None:
    """List jobs, the newest first."""
    table = Table("job", "name", "state", "done", "numbers", "created", box=None)
    with Client(url) as client:
        for job in client.jobs.list(state, page_size=limit)["items"]:
            done = number((job.get("progress") or {}).get("fraction"))
            percent = "" if done is None else f"{done:.0%}"
            told, made = numbers(job.get("metrics") or {}), job["created_at"]
            table.add_row(job["id"], escape(job.get("name") or ""), headline(job), percent, escape(told), made)
    out.print(table)


@app.command()
def cancel(job: str, url: Url = None) -> None:
    """End a job for good."""
    with Client(url) as client:
        told = client.jobs.cancel(job)
    out.print(f"{told['id']} [{STYLES.get(told['state'], 'white')}]{told['state']}[/]", soft_wrap=True)


@app.command()
def stop(job: str, url: Url = None) -> None:
    """End a training after the epoch that it is in; its weights stay."""
    with Client(url) as client:
        told = client.jobs.stop(job)
    out.print(f"{told['id']} ends after this epoch, and keeps its weights.", soft_wrap=True)


@app.command()
def download(
    job: str,
    names: Annotated[list[str] | None, typer.Argument(help="Which artifacts; all if none is named.")] = None,
    to: Annotated[Path, typer.Option(help="Folder to put them in.")] = Path(),
    url: Url = None,
) -> None:
    """Fetch what a job has left behind."""
    with Client(url) as client:
        for path in follow.fetch(client, out, job, names or [], to):
            out.print(str(path), soft_wrap=True, highlight=False)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Whom or what it is for.")] = "",
    project: Annotated[str, typer.Option(help="What it lets in to.")] = "default",
    data: Folder = Path(".trainyard"),
) -> None:
    """Make a key and show it, this once."""
    from trainyard import keys

    out.print(keys.create(data, name, project), soft_wrap=True, highlight=False)


@keys_app.command("list")
def list_keys(data: Folder = Path(".trainyard")) -> None:
    """Show all keys, but not their secrets."""
    from trainyard import keys

    table = Table("key", "name", "begins", "created", "revoked", box=None)
    for row in keys.every(data):
        table.add_row(*row)
    out.print(table)


@keys_app.command("revoke")
def revoke_key(key: str, data: Folder = Path(".trainyard")) -> None:
    """Let a key in no more."""
    from trainyard import keys

    keys.revoke(data, key)
    out.print(f"{key} is revoked.", soft_wrap=True)


def watch_to_the_end(client: Client, job_id: str) -> None:
    """Follow a job; Ctrl-C lets go of it, it runs on.

    Raises:
        Exit: With 1 when it did not succeed, 130 when let go.
    """
    try:
        job = follow.watch(client, out, job_id)
    except KeyboardInterrupt:
        back = f"trainyard follow {job_id} --url {client.url}"
        out.print(f"{job_id} runs on. Come back with: {back}", soft_wrap=True)
        raise typer.Exit(130) from None
    follow.tell(out, job)
    if job["state"] != "succeeded":
        raise typer.Exit(1)


def run_first_job(url: str, folder: Path, job_file: Path, data_file: Path | None) -> None:
    """Follow a job on our own yard and bring its weights home; the yard stays up whatever happens."""
    try:
        with Client(url) as client:
            job = follow.watch(client, out, follow.send(client, out, job_file, data_file)["id"])
            follow.tell(out, job)
            if job["state"] == "succeeded":
                paths = follow.fetch(client, out, job["id"], ["weights.h5"], folder / "results" / job["id"])
                out.print(f"Weights: {client.artifact_url(job['id'], 'weights.h5')}", soft_wrap=True)
                out.print(f"         {paths[0]}", soft_wrap=True)
    except TrainyardError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, even where a shell has had Ctrl-C ignored."""
    before = {each: signal.signal(each, _interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        out.print("The yard is closed.")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
