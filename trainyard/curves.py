"""How a fit went, drawn in text: a line for each series, from its first epoch to its last."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from trainyard.progress import brief, number

BARS = "▁▂▃▄▅▆▇█"
#: More epochs than this share columns.
WIDTH = 60
GAP = "·"


def curves(console: Console, series: Mapping[str, Sequence[object]]) -> None:
    """Print each series as a line of bars with its first and its last value; its scale is its own."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for name, values in series.items():
        if values:
            table.add_row(name, line(values), f"{brief(values[0])} → {brief(values[-1])}")
    console.print(table)


def line(values: Sequence[object]) -> str:
    """Draw values as bars, the lowest and the highest as the shortest and the longest; what is no number as a dot."""
    shown = _thinned(values)
    known = [value for each in shown if (value := number(each)) is not None]
    if not known:
        return GAP * len(shown)
    low, span = min(known), max(known) - min(known)
    return "".join(_bar(number(each), low, span) for each in shown)


def _bar(value: float | None, low: float, span: float) -> str:
    if value is None:
        return GAP
    return BARS[round((value - low) / span * (len(BARS) - 1))] if span else BARS[0]


def _thinned(values: Sequence[object]) -> list[object]:
    """Keep so many values as there are columns, the last one always."""
    if len(values) <= WIDTH:
        return list(values)
    last = len(values) - 1
    return [values[round(column * last / (WIDTH - 1))] for column in range(WIDTH)]
