"""What each kind of job must end with: trained here, with no service, no checkpoint and no fault."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.blobs import digest
from tests.chaos.jobs import JOBS, SEED, SESSION, arrays, steps


class Nobody:
    """Watches and does nothing."""

    def batch(self) -> None: ...

    def epoch(self, epoch: int, logs: dict[str, float]) -> None: ...

    def artifact(self, name: str, write: object) -> None: ...

    def warning(self, message: str) -> None: ...


def weights(kinds: Iterable[str]) -> dict[str, str]:
    """Tell the sha256 of the `weights.h5` of some kinds of jobs; torch is imported in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.chaos.reference", *sorted(kinds)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(told.stdout)
    return found


def _train(name: str, path: Path) -> str:
    from engine.limits import Limits
    from engine.plan import ArraySpec, Plan
    from engine.training.loop import Training

    data = arrays()
    definition = {key: value for key, value in JOBS[name].items() if key != "seed"}
    definition = json.loads(json.dumps(definition).replace("$data/", "ds_1/"))
    plan = Plan.read(definition, lambda _, array: ArraySpec(data[array].shape, "float32"), Limits())
    training = Training(plan, lambda _, array: data[array], seed=SEED)
    training.fit(Nobody())
    if name == SESSION:
        _do(training)
    training.save_weights(path, "hdf5")
    return digest(path)[1]


def _do(training: Any) -> None:
    from engine.limits import Limits
    from engine.steps import read_step
    from engine.training.session import Stepping

    plan, stepping = training.plan, Stepping(training, Nobody(), Limits())
    for step in (step for request in steps() for step in request):
        stepping.do(read_step(step, plan.model, plan.compile, lambda *_: None))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({name: _train(name, Path(folder) / name) for name in sys.argv[1:]}))
