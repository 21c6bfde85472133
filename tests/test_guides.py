"""No block of any page is left that nobody checks."""

import importlib
import inspect
import re

import pytest

from tests import guides, walks

CALL = re.compile(r"^@(given|walked)\(", re.MULTILINE)


def holders():
    """The tests that are given blocks, and which."""
    for path in sorted((guides.ROOT / "tests").rglob("test_*.py")):
        if CALL.search(path.read_text()):
            module = importlib.import_module(".".join(path.relative_to(guides.ROOT).with_suffix("").parts))
            tests = inspect.getmembers(module, lambda each: hasattr(each, "holds"))
            yield from ((f"{path.name}::{name}", test.holds) for name, test in tests if name.startswith("test_"))


def test_every_block_of_every_page_is_given_to_a_test():
    held = {block for _, blocks in holders() for block in blocks}
    alone = [str(block) for page in guides.pages() for block in guides.blocks_of(page) if block not in held]
    assert alone == [], "give them to a test that runs or reads them, with tests.guides.given"


def test_the_pages_that_newcomers_read_are_among_those_that_are_looked_at():
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "docs/tutorial.md",
        "examples/README.md",
        "examples/digits/README.md",
    } <= set(guides.pages())


@pytest.mark.parametrize("page", guides.pages())
def test_code_stands_in_fences_alone(page):
    """What Markdown takes for code because it is indented would not be among the blocks."""
    text = (guides.ROOT / page).read_text()
    for block in guides.blocks_of(page):
        text = text.replace(block.text, "")
    indented = re.findall(r"(?:\A|\n)(?![ ]*(?:[-*+]|\d+\.) )[^\n]*\n\n((?: {4}|\t)\S.*)", text)
    assert indented == []


def test_blocks_are_found_however_they_are_fenced(tmp_path, monkeypatch):
    text = "# One\n```python\na\n```\n\n## Two\n- in a list\n\n  ~~~ sh\n  b\n  ```\n  ~~~\n\n````\n```\nc\n````\n"
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr(guides, "ROOT", tmp_path)
    guides.blocks_of.cache_clear()
    found = [(each.kind, each.section, each.line, each.text) for each in guides.blocks_of("page.md")]
    assert found == [("python", "One", 2, "a\n"), ("sh", "Two", 9, "  b\n  ```\n"), ("", "Two", 14, "```\nc\n")]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("acc 0.95", "acc 0.7\n"),
        ("acc 0.95", "loss 0.95\n"),
        ("acc 0.95", "acc 0.95 and more\n"),
        ("297 images", "197 images\n"),
        ("first\nthen", "then\nfirst\n"),
    ],
)
def test_what_is_shown_must_be_printed_nearly_and_in_its_order(shown, printed):
    with pytest.raises(AssertionError, match="is not among"):
        walks.compare(shown, printed)


def test_what_is_shown_may_leave_out_lines_and_ids():
    walks.compare("job_… done\nacc 0.95", "one\njob_01 done\ntwo\nacc 0.9432\n")
