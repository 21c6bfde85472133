"""Samples a second of the same models here and in Keras 3 on its three backends, one after the other in one run.

python -m benchmarks.throughput [seconds] [model ...]
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.environments import prepare
from benchmarks.models import MODELS
from engine.plan import ArraySpec, Plan
from engine.training.loop import Training

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers"
PACKAGES = ["keras==3.15.1", "tensorflow-cpu", "jax", "torch==2.13.0"]
BACKENDS = ("jax", "tensorflow", "torch")


class Over(Exception):
    """The time is up."""


class Clock:
    """A watcher that notes when each epoch ends, and stops when the time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ends, self.start = seconds, [], time.perf_counter()

    def batch(self) -> None:
        pass

    def epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.ends.append(time.perf_counter() - self.start)
        if self.ends[-1] >= self.seconds:
            raise Over

    def artifact(self, name: str, write: object) -> None:
        pass

    def warning(self, message: str) -> None:
        print(message)


def ours(name: str, seconds: float) -> dict[str, Any]:
    """Train one of the models for a while; return when each epoch ended, and on how many threads."""
    model = MODELS[name]
    data = model.data()
    clock = Clock(seconds)
    plan = Plan.read(model.job("d"), lambda _, array: ArraySpec(data[array].shape, data[array].dtype.name))
    training = Training(plan, lambda _, array: data[array], seed=7)
    with contextlib.suppress(Over):
        training.fit(clock)
    return {"ends": clock.ends, "threads": torch.get_num_threads()}


def fresh(name: str, seconds: float) -> dict[str, Any]:
    """Run ours in a process of its own, as a job runs, with nothing compiled before."""
    code = f"import json; from benchmarks.throughput import ours; print(json.dumps(ours({name!r}, {seconds})))"
    with tempfile.TemporaryDirectory() as empty:
        return json.loads(_run([sys.executable, "-c", code], {"TMPDIR": empty}))


def peer(backend: str, name: str, seconds: float) -> list[float]:
    command = [str(PEERS / "bin/python"), "-m", "benchmarks.peer", name, str(seconds)]
    return json.loads(_run(command, {"KERAS_BACKEND": backend}))


def _run(command: list[str], environment: dict[str, str]) -> str:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=os.environ | quiet | environment, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return done.stdout.decode().splitlines()[-1]


def rates(ends: list[float], samples: int) -> tuple[float, float]:
    """Return samples a second over the whole time, start-up included, and the median of the later half's epochs."""
    later = [b - a for a, b in itertools.pairwise(ends)][len(ends) // 2 :] or [ends[-1] / len(ends)]
    return len(ends) * samples / ends[-1], samples / median(later)


def runs(name: str, seconds: float) -> Iterator[tuple[str, list[float]]]:
    """Measure one model everywhere."""
    done = fresh(name, seconds)
    yield f"Trainyard (threads: {done['threads']})", done["ends"]
    for backend in BACKENDS:
        yield f"Keras 3, {backend}", peer(backend, name, seconds)


def main(seconds: float = 60.0, names: Sequence[str] = ()) -> None:
    prepare(PEERS, PACKAGES)
    print(f"\n## Training: samples/s over {seconds:g} s on {os.cpu_count()} cores, torch {torch.__version__}")
    for name in names or MODELS:
        model = MODELS[name]
        print(f"\n### {model.title}, batches of {model.batch}\n")
        print("| | start-up included | steady |\n|---|---|---|", flush=True)
        for who, ends in runs(name, seconds):
            whole, steady = rates(ends, model.samples)
            print(f"| {who} | {whole:,.0f} | {steady:,.0f} |", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), names=sys.argv[2:])
