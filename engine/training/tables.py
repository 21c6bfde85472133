"""Embedding tables, of which a step reads and moves only the rows that its batch names.

For some optimizers that is exact: where a row has no gradient it does not move, and what the optimizer remembers of it
shrinks by a known share. So such a table lies apart from the other weights, whole, under keys of its own: `table:…`,
`slot:…:…` for the optimizer's memory of it, and `seen:…`, for each row the update after which that memory was brought
up to date. A step is given a small matrix of the batch's rows in the table's place, under the table's own keys, and
`places:…`: where in it each index's row lies. It cannot tell the difference; afterwards the rows are put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.compiled import Compile
from engine.layer import Layer, Weight
from engine.layers.embeddings import Embedding
from engine.model import Sequential, branches_of
from engine.training.data import Batch

if TYPE_CHECKING:
    from engine.training.step import State

#: A smaller table is updated whole in about the time that its rows are found in: measured with RMSprop and 128 indices
#: a batch on one thread.
WORTHWHILE_VALUES = 200_000
#: A batch must name at most one row in so many: measured with a table of 5000 x 128, a batch with half as many indices
#: as there are rows takes as long either way, one with an eighth as many a quarter of the time.
WORTHWHILE_SHARE = 3


@dataclass(frozen=True)
class Table:
    """One table that lies apart.

    Args:
        weight: What the model calls it.
        input: Which of the model's inputs names its rows.
        moments: What the optimizer remembers of each value.
        idle: Share of that which stays in a step without a gradient.
    """

    weight: Weight
    input: int
    moments: tuple[str, ...]
    idle: float

    @property
    def key(self) -> str:
        """Where a state holds its values."""
        return f"table:{self.weight.name}"

    @property
    def seen(self) -> str:
        """Where a state holds, for each row, after which update it was brought up to date."""
        return f"seen:{self.weight.name}"

    @property
    def places(self) -> str:
        """Where the state that a step is given holds each index's place among the rows."""
        return f"places:{self.weight.name}"

    def slot(self, moment: str) -> str:
        """Name the place of one of the optimizer's moments in a state."""
        return f"slot:{moment}:{self.weight.name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """All that is its own in a state."""
        return (self.key, *(self.slot(moment) for moment in self.moments), self.seen)

    def start(self, values: Tensor) -> State:
        """Make its part of a state, with nothing remembered; the values are copied, for they will change in place."""
        slots = {self.slot(moment): torch.zeros_like(values) for moment in self.moments}
        seen = torch.zeros(len(values), dtype=torch.float64, device=values.device)
        return {self.key: values.clone(), **slots, self.seen: seen}

    def weights(self, state: State) -> dict[str, Tensor]:
        """Return its values, and in a step the places that its layer is handed beside them, by the model's keys."""
        layer = self.weight.name.rpartition("/")[0]
        places = {f"{layer}/places": state[self.places]} if self.places in state else {}
        return {self.weight.name: state[self.key], **places}

    def remembered(self, state: State, moment: str) -> Tensor:
        """Return what the optimizer remembers of the whole table, up to date."""
        return state[self.slot(moment)] * self._share(state, state[self.seen])

    def remember(self, state: State, moments: State) -> State:
        """Return its part of a state with such memories for its own."""
        slots = {self.slot(moment): moments[moment].clone() for moment in self.moments}
        return slots | {self.seen: torch.ones_like(state[self.seen]) * state["k"]}

    def take(self, state: State, rows: Tensor) -> State:
        """Copy some of its rows out of a state, up to date."""
        share = self._share(state, state[self.seen].index_select(0, rows))
        slots = {self.slot(each): state[self.slot(each)].index_select(0, rows) * share for each in self.moments}
        return {self.key: state[self.key].index_select(0, rows), **slots}

    def put(self, state: State, after: State, rows: Tensor) -> None:
        """Write its rows back in place, as they are after a step."""
        for key in (self.key, *(self.slot(moment) for moment in self.moments)):
            state[key].index_copy_(0, rows, after[key])
        state[self.seen].index_fill_(0, rows, after["k"])

    def _share(self, state: State, seen: Tensor) -> Tensor:
        return (self.idle ** (state["k"] - seen)).to(state[self.key].dtype).unsqueeze(1)


class Lean:
    """A state with the batch's rows in the place of whole tables, and the way back.

    Args:
        tables: The tables.
        whole: The state to take the rows from.
        batch: Whose rows.
    """

    def __init__(self, tables: Sequence[Table], whole: State, batch: Batch) -> None:
        self.tables, self.whole = tables, whole
        self.rows: list[Tensor] = []
        small: State = {}
        for table in tables:
            rows, places = torch.unique(batch.x[table.input].long(), return_inverse=True)
            self.rows.append(rows)
            small |= table.take(whole, rows)
            small[table.places] = places
        untouched = {table.seen for table in tables}
        self.state = {key: value for key, value in whole.items() if key not in untouched} | small

    def put(self, after: State) -> State:
        """Write the rows back into the tables, in place, and return the whole state after a step."""
        for table, rows in zip(self.tables, self.rows, strict=True):
            table.put(self.whole, after, rows)
        apart = {key for table in self.tables for key in table.keys}
        return {key: value if key in apart else after[key] for key, value in self.whole.items()}


def tables_of(model: Sequential, compiled: Compile | None, batch_size: int) -> tuple[Table, ...]:
    """List the tables that training need not touch whole: it follows from what it is to do alone."""
    if compiled is None or compiled.optimizer.idle is None:
        return ()
    optimizer, idle = compiled.optimizer, compiled.optimizer.idle
    inputs = [each.name for each in model.inputs()]
    weights = {each.name: each for each in model.all_weights}
    found = list(_embeddings(model.layers))
    computed = {key for key, _, fed in found if not fed}  # these indices are not the data's
    return tuple(
        Table(weights[key], inputs.index(layer.inputs()[0].name), optimizer.moments, idle)
        for key, layer in {key: layer for key, layer, _ in found}.items()
        if key not in computed and _pays(layer, weights[key], batch_size)
    )


def _embeddings(
    layers: Sequence[Layer], prefix: str = "", at_front: bool = True
) -> Iterator[tuple[str, Embedding, bool]]:
    """List the tables' keys, their layers, and whether these are fed by the data."""
    for index, each in enumerate(layers):
        fed = at_front and index == 0
        if isinstance(each, Embedding):
            yield f"{prefix}{each.name}/W", each, fed
        elif isinstance(each, Sequential):
            yield from _embeddings(each.layers, f"{prefix}{each.name}/", fed)
        elif each.transparent:
            for branch in branches_of(each):
                yield from _embeddings(branch.layers, prefix, fed)


def _pays(layer: Embedding, weight: Weight, batch_size: int) -> bool:
    """Tell whether only few rows of a table move in a step, and whether that saves more than finding them takes."""
    moves_whole = weight.regularizer or weight.constraint or 0.0 < layer.dropout < 1.0
    named = batch_size * prod(axis or 1 for axis in layer.inputs()[0].shape[1:])
    few = named * WORTHWHILE_SHARE <= layer.input_dim
    return weight.trainable and not moves_whole and few and weight.size >= WORTHWHILE_VALUES
