"""What the command line shows of one job: sending it, its run, its end."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from trainyard import jobfile
from trainyard.errors import BadFile
from trainyard.http import Client, Json
from trainyard.progress import STYLES, TrainingBar, brief, moving


def send(client: Client, console: Console, job_file: Path, data_file: Path | None) -> Json:
    """Upload the data, if any, and queue the job.

    Raises:
        BadFile: The job wants data and none was given, or a file cannot be read.
    """
    job = jobfile.read(job_file)
    if data_file is None and jobfile.wants_data(job):
        raise BadFile(f"{job_file} refers to $data, but no data file was given; name one with --data.")
    if data_file is not None:
        job = jobfile.with_data(job, upload(client, console, data_file)["id"])
    sent = client.jobs.create(job)
    console.print(f"Submitted [bold]{sent['id']}[/] {escape(sent.get('name') or '')}", soft_wrap=True)
    return sent


def upload(client: Client, console: Console, path: Path) -> Json:
    """Upload a file under a bar."""
    total = path.stat().st_size if path.is_file() else 0
    with moving(console, f"Uploading {path.name}", total) as moved:
        dataset = client.upload(path, moved=moved)
    arrays = ", ".join(f"{name} {tuple(of['shape'])}" for name, of in dataset["arrays"].items())
    console.print(f"Uploaded [bold]{dataset['id']}[/]: {escape(arrays)}", soft_wrap=True)
    return dataset


def watch(client: Client, console: Console, job_id: str) -> Json:
    """Follow a job under a live bar to its end."""
    with TrainingBar(console) as bar:
        for job in client.watch(job_id):
            bar.show(job)
    return job


def tell(console: Console, job: Json) -> None:
    """Say how a job ended: its test score, or what went wrong and whose move it is."""
    state = job["state"]
    console.print(f"{job['id']} [{STYLES.get(state, 'white')}]{state}[/]", soft_wrap=True)
    if job.get("evaluation"):
        scores = "  ".join(f"{name} {brief(value)}" for name, value in job["evaluation"].items())
        console.print(f"Test score: [bold]{escape(scores)}[/]", soft_wrap=True)
    if error := job.get("error"):
        again = "trying again may help" if error.get("retryable") else "trying again will not help"
        where = f" at {error['pointer']}" if error.get("pointer") else ""
        told = f"{error.get('class')}{where}: {error.get('detail')} ({again})"
        console.print(told, style="red", markup=False, soft_wrap=True, highlight=False)


def fetch(client: Client, console: Console, job_id: str, names: list[str], folder: Path) -> list[Path]:
    """Download artifacts under a bar; all of them when none is named.

    Raises:
        BadFile: The job has no artifact of that name.
    """
    offered = {artifact["name"]: artifact for artifact in client.jobs.artifacts(job_id)["items"]}
    if missing := [name for name in names if name not in offered]:
        has = ", ".join(offered) or "none"
        raise BadFile(f"{job_id} has no artifact {missing[0]!r}; it has {has}.")
    paths = []
    for name in names or list(offered):
        with moving(console, f"Downloading {name}", offered[name]["bytes"]) as moved:
            paths.append(client.download(job_id, offered[name], folder, moved))
    return paths
