"""A model as a table, as Keras 1 prints it."""

from collections.abc import Iterator, Sequence

from engine.layer import Layer
from engine.model import Placed, Sequential, branches_of

_HEADS = ("Layer (type)", "Output Shape", "Param #", "Connected to")
_ENDS = (0.33, 0.55, 0.67, 1.0)


def table(model: Sequential, line_length: int = 100, positions: Sequence[float] = _ENDS) -> str:
    """Write the table: a Merge's branches first, then what follows it; the Merge itself is not listed.

    Args:
        model: In its settled form.
        line_length: How wide it is.
        positions: Where each column ends, in characters or as a share of the width.
    """
    ends = [int(line_length * each) if positions[-1] <= 1 else int(each) for each in positions]
    rule, double = "_" * line_length, "=" * line_length
    lines = [rule, _row(_HEADS, ends), double]
    for row in _rows(model):
        lines += [*(_row(cells, ends) for cells in row), rule]
    lines[-1] = double
    trained = sum(each.size for each in model.all_weights if each.trainable)
    total = sum(each.size for each in model.all_weights)
    lines += [
        f"Total params: {total:,}",
        f"Trainable params: {trained:,}",
        f"Non-trainable params: {total - trained:,}",
        rule,
    ]
    return "\n".join(lines)


def _rows(model: Sequential) -> Iterator[list[tuple[str, ...]]]:
    seen: set[str | None] = set()
    for placed, sources in _connected(model):
        if placed.layer.name not in seen:
            seen.add(placed.layer.name)
            count = str(placed.parameters(True) + placed.parameters(False))
            title = f"{placed.layer.name} ({type_of(placed.layer)})"
            head = (title, str(placed.output_shape), count, sources[0] if sources else "")
            yield [head, *(("", "", "", each) for each in sources[1:])]


def type_of(layer: Layer) -> str:
    """Say a layer's class; a model in the place of a layer is a Sequential."""
    return "Sequential" if isinstance(layer, Sequential) else type(layer).__name__


def _connected(model: Sequential) -> Iterator[tuple[Placed, list[str]]]:
    before = [f"{each.name}[0][0]" for each in model.inputs()]
    for placed in model.placed:
        if placed.layer.transparent:
            for branch in branches_of(placed.layer):
                yield from _connected(branch)
        else:
            yield placed, before
        before = [f"{placed.layer.name}[0][0]"]


def _row(cells: Sequence[str], ends: Sequence[int]) -> str:
    line = ""
    for cell, end in zip(cells, ends, strict=True):
        line = (f"{line[:-1]} {cell}" if line else cell)[:end].ljust(end)
    return line
