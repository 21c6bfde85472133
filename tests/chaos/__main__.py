"""`make chaos`: a long run, and its table. The yard's logs are kept when a promise was broken."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.chaos.faults import FAULTS
from tests.chaos.report import tell
from tests.chaos.run import TOPOLOGY, Outcome, Run
from tests.servers.topology import running

#: Where there is no terminal to draw a bar on, a line is written so often.
LINE_SECONDS = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs-between", type=float, default=3.0, help="jobs between two faults, on average")
    parser.add_argument("--faults", nargs="*", choices=sorted(FAULTS), default=[], help="only these")
    wanted = parser.parse_args()
    console = Console()
    console.print(f"{wanted.jobs:,} jobs, {wanted.workers} workers, seed {wanted.seed}")
    outcome = run(wanted, console)
    tell(outcome, console)
    return 0 if outcome.is_good else 1


def run(wanted: argparse.Namespace, console: Console) -> Outcome:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        task = bars.add_task("starting the yard", total=wanted.jobs, rate="")
        with running(gateways=2, workers=wanted.workers, **TOPOLOGY) as yard:
            began = said = time.monotonic()

            def told(done: int, faults: int) -> None:
                nonlocal said
                now = time.monotonic()
                rate = f"{60 * done / (now - began):.1f} jobs/min"
                bars.update(task, completed=done, description=f"{faults} faults", rate=rate)
                if not console.is_terminal and now - said > LINE_SECONDS:
                    said = now
                    left = max(wanted.jobs - done, 0) * (now - began) / max(done, 1) / 60
                    console.print(f"{done:,} of {wanted.jobs:,} jobs, {faults} faults, {rate}, {left:.0f} min left")

            outcome = Run(yard, wanted.jobs, wanted.seed, wanted.jobs_between, wanted.faults, told=told).to_the_end()
            if not outcome.is_good:
                _keep_logs(yard.folder, console)
    return outcome


def _keep_logs(folder: Path, console: Console) -> None:
    kept = Path(tempfile.mkdtemp(prefix="chaos-logs-"))
    for log in folder.rglob("*.log"):
        shutil.copy(log, kept)
    console.print(f"The logs are in {kept}.")


if __name__ == "__main__":
    sys.exit(main())
