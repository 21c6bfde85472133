"""What a step of training costs, told by the plan alone, so that every attempt at a job chooses alike."""

from __future__ import annotations

from engine.layers.embeddings import Embedding
from engine.layers.recurring import Recurring
from engine.model import Placed
from engine.plan import Plan
from engine.training.tables import tables_of

#: Below so many multiplications a step, one thread is faster than several: it is done before a second one has woken
#: (measured on 2 cores).
SMALL_STEP = 50_000_000
#: What a value of a convolution costs at least; in a dense layer it costs a row of parameters.
PER_VALUE = 100
#: What share of that others do not cost: a row that is looked up costs nothing, a recurrent value a few dozen.
CHEAP = {Embedding: 1.0, Recurring: 0.75}
#: What an eager step takes besides its arithmetic, in seconds: by itself, for each layer, and for each recurrent one
#: more; and its multiplications a second. Measured on one thread, to within a factor of two.
STEP_TAKES, LAYER_TAKES, LOOP_TAKES, PER_SECOND = 3e-4, 3e-5, 1e-3, 1e10


def threads_for(plan: Plan, available: int) -> int:
    """Choose how many threads a job is worth; sums are added in an order that depends on it."""
    return 1 if is_small(plan) else available


def is_small(plan: Plan) -> bool:
    """Tell whether a step's arithmetic takes less time than what surrounds it."""
    return multiplications(plan) < SMALL_STEP


def step_seconds(plan: Plan) -> float:
    """Estimate how long a step takes in torch's operations, one after the other, on one thread."""
    leaves = [placed.layer for placed in plan.model.leaves()]
    loops = sum(isinstance(layer, Recurring) for layer in leaves)
    return STEP_TAKES + LAYER_TAKES * len(leaves) + LOOP_TAKES * loops + multiplications(plan) / PER_SECOND


def multiplications(plan: Plan) -> float:
    """Estimate those of a training step, forwards and backwards."""
    batch = max((each.batch_size for each in (plan.fit, plan.evaluate, plan.predict) if each), default=32)
    apart = tables_of(plan.model, plan.compile, plan.fit.batch_size) if plan.fit else ()
    parameters = plan.estimate["parameters"] - sum(each.weight.size for each in apart)
    values = plan.estimate["activations"] - sum(map(_cheap_values, plan.model.leaves()))
    return 3 * batch * (parameters + PER_VALUE * values)


def _cheap_values(placed: Placed) -> float:
    """Count those values of a layer that cost nothing, against what others cost."""
    share = next((share for kind, share in CHEAP.items() if isinstance(placed.layer, kind)), 0.0)
    return share * placed.layer.values(placed.input_shape)
