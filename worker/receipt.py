"""What a job that has succeeded was made of: enough to run it again, and to see that it gives the same bits."""

import hashlib
import json
import platform
from typing import Any

import numpy as np
import torch

from core.tables import Attempt
from core.version import our_version
from engine.training.loop import Training
from worker.inputs import Inputs
from worker.journal import Journal
from worker.protocol import Assignment

#: Its name among the artifacts.
RECEIPT = "receipt.json"


def receipt(training: Training, assignment: Assignment, inputs: Inputs, journal: Journal) -> dict[str, Any]:
    """Write it down; `definition_sha256` is of the job's definition as JSON with sorted keys and without spaces."""
    weights = assignment.definition.get("weights")
    return {
        "job": assignment.job_id,
        "seed": assignment.seed,
        "versions": versions(),
        "made_by": training.made_by,
        "device": device(training),
        "threads": torch.get_num_threads(),
        "definition_sha256": definition_sha256(assignment.definition),
        "datasets": inputs.dataset_digests(sorted({*training.plan.datasets, *journal.datasets()})),
        "given_weights": weights and {**weights, "sha256": inputs.weights_digest(weights)},
        "steps": training.steps,
        "compiled": training.stepper.compiles,
        "weights_sha256": training.weights_sha256(),
        "artifacts": journal.stored,
        "attempts": [_told(row) for row in journal.attempts()],
        "resume_fidelity": fidelity(training),
    }


def fidelity(training: Training) -> str:
    """Say whether the run, interrupted anywhere, ends in the same bits."""
    return "exact" if training.is_exact else "approximate"


def versions() -> dict[str, str]:
    """Name the programs whose arithmetic it was."""
    return {
        "trainyard": our_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def device(training: Training) -> dict[str, Any]:
    """Name what computed."""
    kind = training.device.type
    if kind == "cpu":
        return {"type": kind, "capability": torch.backends.cpu.get_cpu_capability(), "machine": platform.machine()}
    major, minor = torch.cuda.get_device_capability()
    return {"type": kind, "capability": f"{major}.{minor}", "machine": torch.cuda.get_device_name()}


def definition_sha256(definition: dict[str, Any]) -> str:
    """Digest a definition; the order of its keys does not count."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _told(row: Attempt) -> dict[str, Any]:
    started = row.started_at.isoformat()
    return {
        "number": row.number,
        "worker": row.worker,
        "started_at": started,
        "exit": row.exit,
        "reason": row.reason,
        "resumed_from": row.resumed_from,
    }
