"""A training step as one piece of machine code.

A small step is all overhead: torch's dispatcher takes longer than the arithmetic. A long job therefore has its step
traced (forward, gradients and update together) and compiled by torch's inductor before its first batch. Whether a job
is long follows from the plan alone: a compiled step rounds differently from an eager one, and a job that is resumed
must go on in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.training.data import Batch
from engine.training.step import State, Step
from engine.training.tables import Lean

log = logging.getLogger(__name__)

#: A job with fewer steps than this is over before compiling would have paid: measured on two cores, it takes some
#: fifteen seconds, and saves about three quarters of a millisecond a step.
WORTHWHILE_STEPS = 30_000

Compiled = Callable[[list[Tensor]], Sequence[Tensor]]


class Stepper:
    """Takes the steps of a run: a long one's batches of the usual size by a compiled step, all others eagerly.

    Args:
        step: The step as a function.
        total_steps: How many the whole job has.
    """

    def __init__(self, step: Step, total_steps: int) -> None:
        self.step = step
        self.compiles = total_steps >= WORTHWHILE_STEPS
        self._key: object = None
        self._compiled: Compiled | None = None

    @property
    def will_compile(self) -> bool:
        """Whether the next step waits for the compiler."""
        return self.compiles and self._key is None

    def __call__(self, state: State, batch: Batch, drawn: list[Tensor]) -> State:
        """Take one step; tables that lie apart change in place."""
        lean = Lean(self.step.tables, state, batch)
        return lean.put(self._take(lean.state, batch, drawn))

    def _take(self, state: State, batch: Batch, drawn: list[Tensor]) -> State:
        if self.will_compile:
            self._key = batch.key
            self._compiled = self._compile(state, batch, drawn)
        if self._compiled is None or batch.key != self._key:
            return self.step.train(state, batch, drawn)
        return dict(zip(state, self._compiled([*state.values(), *_tensors(batch), *drawn]), strict=True))

    def _compile(self, state: State, batch: Batch, drawn: list[Tensor]) -> Compiled | None:
        try:
            return compile_step(self.step, state, batch, drawn)
        except Exception as error:  # no C++ compiler, say
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
    from torch._inductor.lowering import make_fallback
    from torch.fx.experimental.proxy_tensor import make_fx

    names, inputs = list(state), len(batch.x)

    def flat(*tensors: Tensor) -> list[Tensor]:
        rest = list(tensors[len(names) :])
        x = tuple(rest[:inputs])
        y, w = rest[inputs], rest[inputs + 1] if batch.w is not None else None
        noise = rest[len(_tensors(batch)) :]
        after = step.train(dict(zip(names, tensors, strict=False)), Batch(x, y, w), noise)
        return [after[name] for name in names]

    # inductor's own sum of an embedding's gradient has threads add in any order; torch's kernel is repeatable
    whole = torch.ops.aten.embedding_dense_backward.default
    make_fallback(whole, warn=False, override_decomp=True)  # type: ignore[no-untyped-call]
    table = {op: parts for op, parts in select_decomp_table().items() if op is not whole}
    examples = [each.detach().clone() for each in (*state.values(), *_tensors(batch), *drawn)]
    with torch.no_grad(), config.patch(compile_threads=1):  # no pool of processes that a killed runner leaves behind
        graph = make_fx(flat, decomposition_table=table, tracing_mode="fake")(*examples)
        fakes = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
        compiled: Compiled = compile_fx_inner(graph, fakes)
    return compiled
