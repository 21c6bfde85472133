"""The written promises name tests that there are."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "guarantees.md"
NAMED = re.findall(r'^\[(\d+)\]: (\S+) "(\w+)"$', PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), [each[1:] for each in NAMED], ids=[each[2] for each in NAMED])
def test_a_promise_names_a_test_that_there_is(path, name):
    assert f"def {name}(" in (PAGE.parent / path).read_text()


def test_every_test_that_is_cited_is_named_and_the_other_way_round():
    cited = set(re.findall(r"\[(\d+)\](?!:)", PAGE.read_text()))
    assert cited == {number for number, _, _ in NAMED}
    assert len(cited) > 10
