"""Which test holds which row of the guide: `python -m tools.seed_coverage` writes docs/seed-coverage.md.

A test holds the rows that its name bears, as in `test_s18_s20_two_branches`.
"""

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE, ROWS, TESTS = ROOT / "docs/seed-coverage.md", ROOT / "tests/seed/rows.csv", ROOT / "tests"
HEAD = """# The guide's behaviours, and the tests that hold them

Keras 1's guide to the Sequential model, statement by statement. Made by `python -m tools.seed_coverage` from
`tests/seed/rows.csv` and the names of the tests; `tests/test_seed_coverage.py` compares.
"""

Named = tuple[Path, str]


def holders() -> dict[str, list[Named]]:
    """Find the tests of each row."""
    found: dict[str, list[Named]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _tests(path):
            for row in re.findall(r"(?<=_)s(\d{2,3})(?=_)", name):
                found[f"S{row}"].append((path.relative_to(ROOT), name))
    return found


def page() -> str:
    """Write the page."""
    found = holders()
    with ROWS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [HEAD]
    for part, its in groupby(rows, key=lambda row: row["part"]):
        parts.append(f"\n## {part}\n\n| row | the guide says | tests |\n|---|---|---|\n")
        parts += [f"| {row['row']} | {_cell(row['says'])} | {_links(found[row['row']])} |\n" for row in its]
    return "".join(parts)


def _tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _links(tests: list[Named]) -> str:
    return "<br>".join(f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})" for path, name in tests)


if __name__ == "__main__":
    PAGE.write_text(page())
