"""The program of docs/python.md, run as it stands."""

import re

import pytest

from tests import walks
from tests.guides import ROOT, given
from tests.trainyard.yards import UpCommand


@pytest.fixture
def url(tmp_path):
    up = UpCommand(tmp_path / "yard")
    yield up.url
    up.end()


@given("docs/python.md", kind="python")
def test_the_guide_is_a_program_that_runs(guide, url, tmp_path):
    walks.equip(tmp_path)
    (tmp_path / "guide.py").write_text(guide.text)

    printed = walks.paste("python guide.py", tmp_path, url)

    assert "Total params: 1,994" in printed
    assert "epoch 5/5" in printed
    assert list((tmp_path / "checkpoints").glob("*.h5"))


def test_every_link_of_the_guide_leads_somewhere():
    targets = re.findall(r"\]\(([\w./-]+)\)", (ROOT / "docs/python.md").read_text())
    assert targets
    assert all((ROOT / "docs" / each).exists() for each in targets)
