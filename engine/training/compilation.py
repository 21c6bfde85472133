"""A training step as one piece of machine code.

A small step is all overhead: torch's dispatcher takes longer than the arithmetic. A long job therefore has its step
traced (forward, gradients and update together), compiled by torch's inductor in a thread of its own, and swapped in
at a step that follows from the plan alone: a compiled step rounds differently from an eager one, and a job that is
resumed must change over exactly where an undisturbed one does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import torch
from torch import Tensor

from engine.training.data import Batch
from engine.training.step import State, Step

#: A job with fewer steps than this is over before compiling would have paid.
WORTHWHILE_STEPS = 10_000
#: Compiled code takes over at this step.
CHANGEOVER = 2_000

_compiling = Lock()
log = logging.getLogger(__name__)

Compiled = Callable[[list[Tensor]], Sequence[Tensor]]


class Stepper:
    """Takes the steps of a run, eagerly at first, compiled from the changeover on where that is worthwhile.

    Args:
        step: The step as a function.
        total_steps: How many the whole job has.
    """

    def __init__(self, step: Step, total_steps: int) -> None:
        self.step = step
        self.compiles = total_steps >= WORTHWHILE_STEPS
        self._key: object = None
        self._compiled: Future[Compiled] | None = None

    def __call__(self, state: State, batch: Batch, drawn: list[Tensor], number: int) -> State:
        """Take step `number`."""
        if self.compiles:
            self._begin(state, batch, drawn)
            if number >= CHANGEOVER and batch.key == self._key and (compiled := self._ready()):
                after = compiled([*state.values(), *_tensors(batch), *drawn])
                return dict(zip(state, after, strict=True))
        return self.step.train(state, batch, drawn)

    def _begin(self, state: State, batch: Batch, drawn: list[Tensor]) -> None:
        if self._compiled is None:
            self._key = batch.key
            pool = ThreadPoolExecutor(1, "compile")
            self._compiled = pool.submit(compile_step, self.step, state, batch, drawn)
            pool.shutdown(wait=False)

    def _ready(self) -> Compiled | None:
        """Wait for the compiled step; where it cannot be had (no C++ compiler, say) the run stays eager."""
        try:
            return self._compiled.result() if self._compiled else None
        except Exception as error:
            log.warning("the step could not be compiled and stays eager: %s", error)
            self.compiles = False
            return None


def _tensors(batch: Batch) -> list[Tensor]:
    return [*batch.x, *(each for each in (batch.y, batch.w) if each is not None)]


def compile_step(step: Step, state: State, batch: Batch, drawn: list[Tensor]) -> Compiled:
    """Trace a step on tensors of these shapes and compile it; it takes and gives them in this order."""
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table
    from torch.fx.experimental.proxy_tensor import make_fx

    names, inputs = list(state), len(batch.x)

    def flat(*tensors: Tensor) -> list[Tensor]:
        rest = list(tensors[len(names) :])
        x = tuple(rest[:inputs])
        y, w = rest[inputs], rest[inputs + 1] if batch.w is not None else None
        noise = rest[len(_tensors(batch)) :]
        after = step.train(dict(zip(names, tensors, strict=False)), Batch(x, y, w), noise)
        return [after[name] for name in names]

    examples = [each.detach().clone() for each in (*state.values(), *_tensors(batch), *drawn)]
    # One at a time, as tracing changes torch for the whole process; and no pool of processes to leave behind.
    with _compiling, torch.no_grad(), config.patch(compile_threads=1):
        graph = make_fx(flat, decomposition_table=select_decomp_table(), tracing_mode="fake")(*examples)
        fakes = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
        compiled: Compiled = compile_fx_inner(graph, fakes)
    return compiled
