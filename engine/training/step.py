"""One batch of training, as a pure function: a state and a batch in, the next state out.

The state is one flat mapping of tensors and all that a checkpoint needs of them: `params` (every trained weight in one
vector, so that an optimizer costs a few operations however many layers there are), `weight:…` for the others and for
what stateful layers remember, `slot:…` for the optimizer's memory, the 0-d `lr` and `k`, and `totals`: the epoch's sums
of loss and metrics over its samples. Large tables lie apart, as `tables` has it: each is a parameter of its own here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from engine.compiled import Compile
from engine.errors import within
from engine.layer import Weight
from engine.model import Sequential
from engine.optimizers import Optimizer
from engine.run import Noise, Replay, Run
from engine.training.data import Batch
from engine.training.tables import Table

State = dict[str, Tensor]


class Step:
    """How a model is trained and judged, batch by batch.

    Args:
        model: The model.
        compiled: How it learns; None for prediction alone.
        device: Where its tensors are.
        tables: The trained weights that lie apart.
    """

    def __init__(
        self,
        model: Sequential,
        compiled: Compile | None,
        device: torch.device | None = None,
        tables: Sequence[Table] = (),
    ) -> None:
        self.model = model
        self.device = device or torch.device("cpu")
        self.compiled = compiled
        self.tables = tables
        apart = {each.weight.name for each in tables}
        self.learned = [each for each in model.all_weights if each.trainable]
        self.trained = [each for each in self.learned if each.name not in apart]
        self.kept = [each for each in model.all_weights if not each.trainable]
        self.penalised = [each for each in model.all_weights if each.regularizer]
        self.metrics = compiled.metric_functions(model.placed[-1].output_shape) if compiled else []

    def start(self, weights: Mapping[str, Tensor]) -> State:
        """Make the state before the first update from the model's weights."""
        state = {f"weight:{each.name}": weights[each.name] for each in self.kept}
        state["params"] = self._join(weights[each.name] for each in self.trained)
        for table in self.tables:
            state |= table.start(weights[table.weight.name])
        state |= self.forgotten()
        if self.compiled:
            optimizer, device = self.compiled.optimizer, self.device
            state |= {f"slot:{name}": torch.zeros_like(state["params"]) for name in optimizer.moments}
            state |= {f"slot:{name}": torch.ones((), device=device) for name in optimizer.scalars}
            state["lr"] = torch.tensor(getattr(optimizer, "lr"), device=device)  # noqa: B009  # each has one
            state["k"] = torch.zeros((), dtype=torch.float64, device=device)
            state["totals"] = torch.zeros(1 + len(self.metrics), dtype=torch.float64, device=device)
        return state

    def forgotten(self, layer: str | None = None) -> State:
        """Return the part of a state that stateful layers, or one of them, remember, as it is at first: zeros."""
        memories = [each for each in self.model.all_memories if layer is None or layer in each.name.split("/")[:-1]]
        return {f"weight:{each.name}": torch.zeros(each.shape, device=self.device) for each in memories}

    def remembered(self, state: State) -> State:
        """Return the part of a state that stateful layers remember."""
        return {key: state[key] for key in (f"weight:{each.name}" for each in self.model.all_memories)}

    def weights(self, state: State) -> dict[str, Tensor]:
        """Return all weights and memories by key, as views where they are trained."""
        names = [*(each.name for each in self.kept), *(each.name for each in self.model.all_memories)]
        kept = {name: state[f"weight:{name}"] for name in names}
        trained = {each.name: piece for each, piece in _cut(state["params"], self.trained)}
        return kept | trained | {key: each for table in self.tables for key, each in table.weights(state).items()}

    def memory(self, state: State) -> State:
        """Return what the optimizer remembers: `k` and each slot in one piece, whether tables lie apart or not."""
        if self.compiled is None:
            return {}
        optimizer = self.compiled.optimizer
        memory = {key: state[key] for key in ("k", *(f"slot:{name}" for name in optimizer.scalars))}
        for moment in optimizer.moments:
            pieces = {each.name: piece for each, piece in _cut(state[f"slot:{moment}"], self.trained)}
            pieces |= {each.weight.name: each.remembered(state, moment) for each in self.tables}
            memory[f"slot:{moment}"] = self._join(pieces[each.name] for each in self.learned)
        return memory

    def remembering(self, state: State, memory: State) -> State:
        """Return a state in which the optimizer remembers what `memory` gave."""
        state = state | memory
        moments = self.compiled.optimizer.moments if self.compiled else ()
        cut = {
            name: {each.name: piece for each, piece in _cut(memory[f"slot:{name}"], self.learned)} for name in moments
        }
        for name, pieces in cut.items():
            state[f"slot:{name}"] = self._join(pieces[each.name] for each in self.trained)
        for table in self.tables:
            state |= table.remember(state, {name: pieces[table.weight.name] for name, pieces in cut.items()})
        return state

    def predict(self, state: State, x: tuple[Tensor, ...]) -> tuple[Tensor, State]:
        """Return the outputs of a test pass, and the state in which it leaves stateful layers."""
        run = Run()
        return self._called(x, self.weights(state), run), _moved(state, run)

    def rehearse(self, state: State, batch: Batch, noise: Noise) -> None:
        """Make a training pass and throw it away, so that `noise` learns what is asked of it."""
        self._called(batch.x, self.weights(state), Run(noise))

    def train(self, state: State, batch: Batch, drawn: Sequence[Tensor]) -> State:
        """Take one step with the noise drawn for it; `totals` grows by the loss and the metrics before it."""
        weights = self.weights(state)
        names = [*(each.name for each in self.trained), *(each.weight.name for each in self.tables)]
        leaves = [weights[name].detach().requires_grad_() for name in names]
        with torch.enable_grad():
            run = Run(Replay(iter(drawn)))
            loss, values = self._score(weights | dict(zip(names, leaves, strict=True)), batch, run)
        state = _moved(state, run) | {"totals": state["totals"] + values.double() * batch.size}
        if not leaves:
            return state
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        flat = self._join(gradients[: len(self.trained)])
        return self._updated(state, [flat, *gradients[len(self.trained) :]])

    def test(self, state: State, batch: Batch) -> tuple[Tensor, State]:
        """Return the loss and the metrics of a test pass, `(1 + metrics,)`, and the state it leaves behind."""
        run = Run()
        return self._score(self.weights(state), batch, run)[1], _moved(state, run)

    def _called(self, x: tuple[Tensor, ...], weights: Mapping[str, Tensor], run: Run) -> Tensor:
        with within("model"):
            return self.model.call(x if len(x) > 1 else x[0], weights, run)

    def _score(self, weights: Mapping[str, Tensor], batch: Batch, run: Run) -> tuple[Tensor, Tensor]:
        if self.compiled is None or batch.y is None:
            raise RuntimeError("only a compiled model with targets can be judged")
        p = self._called(batch.x, weights, run)
        loss = self.compiled.loss_of(batch.y, p, batch.w, run.mask)
        for each in self.penalised:
            if each.regularizer:
                loss = loss + each.regularizer(weights[each.name])
        for penalty in run.penalties:
            loss = loss + penalty
        seen = p.detach()
        return loss, torch.stack([loss.detach(), *(metric(batch.y, seen) for metric in self.metrics)])

    def _updated(self, state: State, gradients: Sequence[Tensor]) -> State:
        if self.compiled is None:
            raise RuntimeError("only a compiled model can be updated")
        optimizer = self.compiled.optimizer
        after = {"k": state["k"] + 1}
        for (key, slots), gradient in zip(self._parts(optimizer), optimizer.clip(*gradients), strict=True):
            remembered = {name: state[slot] for name, slot in slots.items()}
            after[key], moved = optimizer.update(state[key], gradient, remembered, state["lr"], state["k"])
            after |= {slots[name]: each for name, each in moved.items()}
        return state | after | {"params": self._constrained(after["params"])}

    def _parts(self, optimizer: Optimizer) -> Iterator[tuple[str, dict[str, str]]]:
        """List what is updated by itself: its key, and the keys of its slots by their names."""
        yield "params", {name: f"slot:{name}" for name in (*optimizer.moments, *optimizer.scalars)}
        for table in self.tables:
            yield table.key, {name: table.slot(name) for name in table.moments}

    def _constrained(self, params: Tensor) -> Tensor:
        if not any(each.constraint for each in self.trained):
            return params
        return self._join(
            each.constraint(piece) if each.constraint else piece for each, piece in _cut(params, self.trained)
        )

    def _join(self, pieces: Iterable[Tensor]) -> Tensor:
        flat = [each.reshape(-1) for each in pieces]
        return torch.cat(flat) if flat else torch.zeros(0, device=self.device)


def _cut(vector: Tensor, weights: Sequence[Weight]) -> Iterator[tuple[Weight, Tensor]]:
    """Cut one vector of several weights into views, one for each."""
    pieces = vector.split_with_sizes([each.size for each in weights]) if weights else ()
    for each, piece in zip(weights, pieces, strict=True):
        yield each, piece.view(each.shape)


def _moved(state: State, run: Run) -> State:
    """Return the state with what a pass has updated."""
    return state | {f"weight:{key}": value.detach() for key, value in run.updates.items()}
