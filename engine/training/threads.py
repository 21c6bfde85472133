"""How many threads a job is worth: a small step is done before a second thread has woken."""

from __future__ import annotations

from math import prod

from engine.layers.embeddings import Embedding
from engine.plan import Plan
from engine.training.tables import tables_of

#: Below so many multiplications a step, one thread is faster than several (measured on 2 cores).
SMALL_STEP = 50_000_000
#: What a value of a convolution or a recurrent layer costs at least; in a dense one it costs a row of parameters, and
#: in an embedding nothing.
PER_VALUE = 100


def threads_for(plan: Plan, available: int) -> int:
    """Choose by the plan alone, so that every attempt at a job adds its sums in the same order."""
    return 1 if is_small(plan) else available


def is_small(plan: Plan) -> bool:
    """Tell whether a step's arithmetic takes less time than what surrounds it."""
    batch = max((each.batch_size for each in (plan.fit, plan.evaluate, plan.predict) if each), default=32)
    apart = tables_of(plan.model, plan.compile, plan.fit.batch_size) if plan.fit else ()
    parameters = plan.estimate["parameters"] - sum(each.weight.size for each in apart)
    looked_up = sum(
        prod(axis or 1 for axis in each.output_shape[1:])
        for each in plan.model.leaves()
        if isinstance(each.layer, Embedding)
    )
    return 3 * batch * (parameters + PER_VALUE * (plan.estimate["activations"] - looked_up)) < SMALL_STEP
