"""A training run in one file: tensors and, beside them, everything else that the next step depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import BadFile
from engine.layers import native
from engine.training.compilation import sources

VERSION = 1


class Inexact(BadFile):
    """A checkpoint is whole, but going on from it here would not give the same bits."""


def maker(device: torch.device) -> dict[str, Any]:
    """Name what decides how a given step rounds: our version, torch's, and the kind of machine."""
    if device.type != "cpu":
        return {"engine": sources(), "torch": torch.__version__, "device": device.type}
    return {
        "engine": sources(),
        "torch": torch.__version__,
        "device": device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        # Loops in machine code add in another order than those in torch do.
        "machine_code": native.library() is not None,
    }


def repeats(device: torch.device) -> bool:
    """Tell whether what is computed once is computed alike the next time: on a GPU, only if that was asked for."""
    return device.type == "cpu" or torch.are_deterministic_algorithms_enabled()


def write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint; `facts` is anything JSON can hold, numbers that are no numbers included."""
    ready = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    try:
        save_file(ready, path, metadata={"trainyard": json.dumps({"version": VERSION, **facts})})
    except SafetensorError as error:
        raise OSError(f"{path.name} cannot be written: {error}") from error  # such as a full disk


def read(
    path: Path, device: torch.device, made_by: dict[str, Any] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint back.

    Args:
        path: The file.
        device: Where its tensors are wanted.
        made_by: The maker it must have had, as `maker` has it; anybody when absent.

    Raises:
        BadFile: It is damaged.
        Inexact: It is of another version, or of another maker.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("trainyard", "{}"))
            tensors = {key: file.get_tensor(key).to(device) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise BadFile(f"The checkpoint cannot be read: {error}") from None
    if facts.get("version") != VERSION:
        raise Inexact(f"has format {facts.get('version')}, and this worker has {VERSION}")
    if made_by is not None:
        _compare(facts.get("made_by") or {}, made_by)
    return tensors, facts


def _compare(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for name, mine in ours.items():
        if theirs.get(name) != mine:
            raise Inexact(f"was made with {name} {theirs.get(name)}, and this worker has {mine}")
