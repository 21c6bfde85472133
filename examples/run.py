"""Run an example from its data to its score: `make example NAME=mnist_mlp`, or `python -m examples.run mnist_mlp`."""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.files import write
from trainyard import follow
from trainyard.curves import curves
from trainyard.http import Client
from trainyard.yard import Yard

HERE, DATA = Path(__file__).parent, Path(".trainyard/examples")
NAMES = sorted(path.parent.name for path in HERE.glob("*/data.py"))


def main() -> None:
    asked = parser().parse_args()
    console = Console()
    with yard(console) as url, Client(url) as client:
        state = run(client, console, asked.name, asked.data or data_of(asked.name), asked.epochs)
    raise SystemExit(state != "succeeded")


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--epochs", type=int, help="in place of the job's own")
    parser.add_argument("--data", type=Path, help="a data file made before")
    return parser


@contextmanager
def yard(console: Console) -> Iterator[str | None]:
    """Use the yard of TRAINYARD_URL, or run one of our own meanwhile."""
    if os.environ.get("TRAINYARD_URL"):
        yield None
        return
    own = Yard(DATA / "yard", "127.0.0.1", 0, 1)
    with own.running():
        console.print(f"A yard is up at {own.url}", style="green")
        yield own.url


def data_of(name: str) -> Path:
    """Make the example's data file, once."""
    path = DATA / f"{name}.npz"
    if not path.exists():
        write(path, import_module(f"examples.{name}.data").arrays(False))
    return path


def run(client: Client, console: Console, name: str, data: Path, epochs: int | None = None) -> str:
    """Train an example's job, draw its curves, tell its score, and do what else it has to show."""
    with job_file(name, epochs) as path:
        job = follow.watch(client, console, follow.send(client, console, path, data)["id"])
    curves(console, client.jobs.metrics(job["id"])["series"])
    follow.tell(console, job)
    if job["state"] == "succeeded" and (HERE / name / "generate.py").exists():
        import_module(f"examples.{name}.generate").show(client, console, job["id"])
    return str(job["state"])


@contextmanager
def job_file(name: str, epochs: int | None) -> Iterator[Path]:
    """Give the example's job, with other epochs where they are asked for."""
    job: dict[str, Any] = json.loads((HERE / name / "job.json").read_text())
    job["fit"]["nb_epoch"] = epochs or job["fit"]["nb_epoch"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        yield path


if __name__ == "__main__":
    main()
