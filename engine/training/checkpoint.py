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

VERSION = 1


def write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint; `facts` is anything JSON can hold, numbers that are no numbers included."""
    ready = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    save_file(ready, path, metadata={"trainyard": json.dumps({"version": VERSION, **facts})})


def read(path: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint back.

    Raises:
        BadFile: It is damaged, or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("trainyard", "{}"))
            tensors = {key: file.get_tensor(key).to(device) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise BadFile(f"The checkpoint cannot be read: {error}") from None
    if facts.get("version") != VERSION:
        raise BadFile(f"The checkpoint is of version {facts.get('version')}, and this is {VERSION}.")
    return tensors, facts
