"""What a run has found, for people."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome

#: So many of each violation are shown.
SHOWN = 20


def tell(outcome: Outcome, console: Console) -> None:
    """Print the table; and after a failure what went wrong, and all that is needed to repeat it."""
    console.print(_faults(outcome), _findings(outcome))
    if outcome.is_good:
        console.print(f"[green]Every promise was kept[/] (seed {outcome.seed}, {outcome.seconds:,.0f} s).")
    else:
        console.print(explanation(outcome), style="red", markup=False, highlight=False)


def explanation(outcome: Outcome) -> str:
    """Say what was broken, and under which seed and schedule."""
    lines = [f"SEED={outcome.seed}; the faults, in order:"]
    lines += [f"  after {fault.jobs_before:6.1f} jobs: {fault.kind} {hit}" for fault, hit in outcome.faults]
    for name, found in outcome.violations.items():
        lines += [f"{len(found)} {name}:"] * bool(found) + [f"  {each}" for each in found[:SHOWN]]
    return "\n".join(lines)


def _faults(outcome: Outcome) -> Table:
    table = Table("fault", "times", title="Faults injected")
    for kind, count in sorted(Counter(fault.kind for fault, _ in outcome.faults).items()):
        table.add_row(kind.replace("_", " "), f"{count:,}")
    table.add_section()
    table.add_row("all", f"{len(outcome.faults):,}")
    return table


def _findings(outcome: Outcome) -> Table:
    table = Table("found", "number", title=f"{outcome.jobs:,} jobs")
    for name, found in outcome.violations.items():
        table.add_row(name, f"{len(found):,}", style="red" if found else "green")
    table.add_section()
    for name, count in sorted(outcome.counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    for status, count in sorted(outcome.answers.items()):
        table.add_row(f"answers {status}", f"{count:,}")
    return table
