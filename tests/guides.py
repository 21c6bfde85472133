"""What is written in fences on the project's pages, and which test is given it.

A test says by `given` or `walked` which blocks it holds, and is handed them; `tests/test_guides.py` finds those that no
test is handed.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Folders of a checkout that hold nothing of its pages.
MADE = {"node_modules", "build", "dist", "site"}
FENCE = re.compile(r"^ *(`{3,}|~{3,}) *([^`]*)$")


@dataclass(frozen=True)
class Block:
    page: str
    kind: str
    section: str
    line: int
    text: str
    #: What stands between it and the block before it.
    told: str

    def __str__(self):
        return f"{self.page}:{self.line} ({self.kind or 'no language'})"


@dataclass(frozen=True)
class Guide:
    """Blocks of one page, of one kind."""

    page: str
    blocks: tuple[str, ...]

    @property
    def text(self):
        return "\n".join(self.blocks)


@cache
def pages() -> list[str]:
    """Every page of Markdown of the project."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in MADE and not each.startswith(".")]
        found += [str((Path(folder) / each).relative_to(ROOT)) for each in files if each.endswith(".md")]
    return sorted(found)


@cache
def blocks_of(page: str) -> list[Block]:
    """Every block of a page that stands in fences, in its order."""
    return list(_fenced(page, (ROOT / page).read_text().splitlines()))


def _fenced(page: str, lines: list[str]) -> Iterator[Block]:
    section, begun, kind, fence, ended = "", 0, "", "", 0
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2]:
                text, told = "\n".join(lines[begun : number - 1]), "\n".join(lines[ended : begun - 1])
                yield Block(page, kind, section, begun, text + "\n", told)
                fence, ended = "", number
        elif found:
            begun, fence, kind = number, found[1], found[2].strip()
        elif line.startswith("#"):
            section = line.lstrip("# ")
    assert not fence, f"{page}:{begun} has no end"


def given(*of, kind, section=None):
    """Hand a test, as `guide`, the blocks of a kind of pages: one page after the other.

    Args:
        of: The pages, from the root of the project.
        kind: What stands behind the fence.
        section: The title the blocks stand under; the whole page when absent.
    """
    chosen = {page: [each for each in blocks_of(page) if _is_of(each, kind, section)] for page in of}
    assert all(chosen.values()), f"{of} have no {kind} under {section}"
    guides = [Guide(page, tuple(each.text for each in blocks)) for page, blocks in chosen.items()]

    def decorate(test):
        _hold(test, (each for blocks in chosen.values() for each in blocks))
        return pytest.mark.parametrize("guide", guides, ids=of)(test)

    return decorate


def walked(*of):
    """Hand a test, as `page`, pages of which it does every block: one page after the other."""

    def decorate(test):
        _hold(test, (each for page in of for each in blocks_of(page)))
        return pytest.mark.parametrize("page", of)(test)

    return decorate


def _hold(test, blocks) -> None:
    test.holds = getattr(test, "holds", frozenset()) | frozenset(blocks)


def _is_of(block: Block, kind: str, section: str | None) -> bool:
    return block.kind == kind and section in (None, block.section)
