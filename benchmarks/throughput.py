"""Samples a second of the same MLP here and in Keras 3 on its three backends, one after the other in one run."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks.models import SAMPLES, mlp_data, mlp_job
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


def ours(seconds: float) -> list[float]:
    data = mlp_data()
    clock = Clock(seconds)
    plan = Plan.read(mlp_job("d", 10_000), lambda _, array: ArraySpec(data[array].shape, data[array].dtype.name))
    training = Training(plan, lambda _, array: data[array], seed=7)
    with contextlib.suppress(Over):
        training.fit(clock)
    return clock.ends


def fresh(seconds: float) -> list[float]:
    """Run ours in a process of its own, as a job runs, with nothing compiled before."""
    code = f"import json; from benchmarks.throughput import ours; print(json.dumps(ours({seconds})))"
    return json.loads(_run([sys.executable, "-c", code], {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}))


def peer(backend: str, seconds: float) -> list[float]:
    return json.loads(
        _run([str(PEERS / "bin/python"), str(ROOT / "benchmarks/peer.py"), str(seconds)], {"KERAS_BACKEND": backend})
    )["ends"]


def _run(command: list[str], environment: dict[str, str]) -> str:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=os.environ | quiet | environment, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return done.stdout.decode().splitlines()[-1]


def prepare() -> None:
    """Make the peers' environment, once."""
    if not (PEERS / ".ready").exists():
        print("Installing Keras 3, TensorFlow, JAX and torch into .venv-peers …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(PEERS / "bin/pip"), "install", "--quiet", *PACKAGES], check=True)
        (PEERS / ".ready").touch()


def rates(ends: list[float]) -> tuple[float, float]:
    """Return samples a second over the whole time, start-up included, and the median of the later half's epochs."""
    later = [b - a for a, b in itertools.pairwise(ends)][len(ends) // 2 :] or [ends[-1] / len(ends)]
    return len(ends) * SAMPLES / ends[-1], SAMPLES / median(later)


def main(seconds: float = 60.0) -> None:
    prepare()
    print(f"\n## MLP 20-64-64-10, batch 16: samples/s over {seconds:g} s, torch {torch.__version__}\n")
    print("| | start-up included | steady |\n|---|---|---|")
    runs = {"Trainyard": lambda: fresh(seconds)}
    runs |= {f"Keras 3, {backend}": lambda backend=backend: peer(backend, seconds) for backend in BACKENDS}
    for name, run in runs.items():
        whole, steady = rates(run())
        print(f"| {name} | {whole:,.0f} | {steady:,.0f} |", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
