"""The step loops of `sequences.c`: compiled once on a machine that has a C compiler, and called on tensors.

A step of a small cell is a few microseconds of arithmetic, and each operation of torch costs as much in overhead. These
are the loops of `cells` without it, for sequences of float32 on the processor. Where there is no C compiler, or the
products of a step are large, the loops in torch do the same.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import tempfile
from ctypes import CDLL, c_longlong, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.layers.cells import CLIPPED, Cell, Saved, buffer, flat
from engine.machine_code import cache_folder

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("sequences.c")
#: The activations of `enum activation`, in order; `clip` is what is left of those of `CLIPPED` inside.
ACTIVATIONS = ("linear", "relu", "sigmoid", "hard_sigmoid", "tanh", "clip")
#: A step of more multiplications is faster in torch, whose products know all of the cache and of the threads (measured
#: on two cores with cells of 128 to 512 units and 16 to 128 samples).
MOST_MULTIPLICATIONS = 5_000_000
#: By what torch calls the processor's abilities, so that two machines of one kind round alike.
FLAGS = {
    "AVX2": ["-mavx2", "-mfma"],
    "AVX512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"],
}


@cache
def library() -> Any:
    """Return the compiled loops, compiling them if this machine has none yet; None if it cannot."""
    capability = torch.backends.cpu.get_cpu_capability()
    flags = ["-O3", "-std=c11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", *FLAGS.get(capability, [])]
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(flags).encode()).hexdigest()[:32]
    target = cache_folder() / f"sequences-{digest}.so"
    try:
        if not target.exists():
            _compile(flags, target)
        return CDLL(str(target))
    except (OSError, subprocess.SubprocessError) as error:
        log.info("recurrent layers run in torch, without a C compiler: %s", error)
        return None


def _compile(flags: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "made.so"
        command = [os.environ.get("CC", "cc"), *flags, str(SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603  # the administrator's CC
        made.replace(target)


def usable(activation: str, inner_activation: str, z: Tensor, U: Tensor) -> bool:
    """Tell whether the compiled loops can run this cell, and should."""
    return (
        activation in ACTIVATIONS
        and _inside(inner_activation) in ACTIVATIONS
        and z.device.type == "cpu"
        and z.dtype == torch.float32
        and z.shape[1] * U.numel() <= MOST_MULTIPLICATIONS
        and library() is not None
    )


class _Loop:
    """A kind of cell by its compiled loops, as `cells.Cell` has it."""

    name: ClassVar[str]

    def __init__(self, activation: str, inner_activation: str) -> None:
        self.kinds = ACTIVATIONS.index(activation), ACTIVATIONS.index(_inside(inner_activation))

    def _call(self, direction: str, hs: Tensor, *arguments: Tensor | None) -> None:
        """Call a loop, over as many steps as follow the first of `hs`; it goes by addresses alone."""
        if not all(each.is_contiguous() for each in arguments if each is not None):
            raise RuntimeError("a loop in machine code takes contiguous tensors")
        steps, n, width = hs.shape
        pointers = [None if each is None else c_void_p(each.data_ptr()) for each in arguments]
        loop = getattr(library(), f"{self.name}_{direction}")
        loop(c_longlong(steps - 1), c_longlong(n), c_longlong(width), *self.kinds, *pointers)


class SimpleLoop(_Loop):
    """`cells.SimpleCell`."""

    name = "simple"

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        hs, z = buffer(states[0], len(z)), _copied(z)
        self._call("forward", hs, z, U.contiguous(), hs, _whole(mask))
        return [hs, z]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, z = saved
        dz = torch.empty_like(z)
        self._call("backward", hs, z, _turned(U), hs, _whole(mask), grad.contiguous(), torch.zeros_like(hs[0]), dz)
        return dz, flat(hs[:-1]).t() @ flat(dz)


class GatedLoop(_Loop):
    """`cells.GatedCell`."""

    name = "gru"

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        hs, z = buffer(states[0], len(z)), _copied(z)
        a, rh = torch.empty_like(z), torch.empty_like(hs[1:])
        self._call("forward", hs, z, U.contiguous(), hs, a, rh, _whole(mask))
        return [hs, z, a, rh]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        (hs, z, a, rh), H = saved, len(U)
        dz, dh, drh = torch.empty_like(z), torch.zeros_like(hs[0]), torch.empty_like(hs[0])
        self._call("backward", hs, z, _turned(U), hs, a, _whole(mask), grad.contiguous(), dh, drh, dz)
        halves = (hs[:-1], dz[..., : 2 * H]), (rh, dz[..., 2 * H :])
        return dz, torch.cat([flat(before).t() @ flat(after) for before, after in halves], -1)


class ResetAfterLoop(GatedLoop):
    """`cells.ResetAfterCell`; its pass saves what is fed back where the other saves what is left of the states."""

    name = "reset_after"

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        (hs, z, a, back), H = saved, len(U) - 1
        dz, dback, dh = torch.empty_like(z), torch.empty_like(back), torch.zeros_like(hs[0])
        self._call("backward", hs, z, _turned(U[:H]), hs, a, back, _whole(mask), grad.contiguous(), dh, dback, dz)
        before, halves = flat(hs[:-1]).t(), (flat(dz[..., : 2 * H]), flat(dback))
        return dz, torch.cat([torch.cat([before @ each, each.sum(0, keepdim=True)]) for each in halves], -1)


class LongLoop(_Loop):
    """`cells.LongCell`."""

    name = "lstm"

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        (hs, cs), z = (buffer(each, len(z)) for each in states), _copied(z)
        a, ac = torch.empty_like(z), torch.empty_like(hs[1:])
        self._call("forward", hs, z, U.contiguous(), hs, cs, a, ac, _whole(mask))
        return [hs, cs, z, a, ac]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, cs, z, a, ac = saved
        dz, dh, dc, through = torch.empty_like(z), *(torch.zeros_like(hs[0]) for _ in range(3))
        self._call("backward", hs, z, _turned(U), cs, a, ac, _whole(mask), grad.contiguous(), dh, dc, through, dz)
        return dz, flat(hs[:-1]).t() @ flat(dz)


LOOPS: dict[str, type[Cell]] = {
    "SimpleRNN": SimpleLoop,
    "GRU": GatedLoop,
    "ResetAfterGRU": ResetAfterLoop,
    "LSTM": LongLoop,
}


def _inside(inner_activation: str) -> str:
    return "clip" if inner_activation in CLIPPED else inner_activation


def _copied(z: Tensor) -> Tensor:
    return z.clone(memory_format=torch.contiguous_format)


def _whole(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.contiguous()


def _turned(U: Tensor) -> Tensor:
    return U.t().contiguous()
