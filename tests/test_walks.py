"""The pages that a newcomer goes through, done block by block as they stand; what they show is what is printed."""

import shutil
import subprocess
import sys

import pytest

from tests import guides, walks
from tests.guides import blocks_of, walked

pytestmark = pytest.mark.xdist_group("walks")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    subprocess.run([sys.executable, guides.ROOT / "examples/digits/data.py", path], check=True)
    return path


@pytest.fixture
def folder(tmp_path, digits):
    """Where the reader stands after `make run`."""
    (tmp_path / ".trainyard").mkdir()
    shutil.copy(digits, tmp_path / ".trainyard")
    walks.equip(tmp_path)
    return tmp_path


@walked("docs/tutorial.md")
def test_the_tutorial_comes_out_as_it_says(page, url, folder):
    steps = zip(blocks_of(page), walks.walk(page, folder, url), strict=True)
    answers = [answer for block, out in steps if block.section == "Over HTTP" for answer in walks.documents(out)]

    arrays, checked, metrics, job, predicted = answers
    assert set(arrays["arrays"]) >= {"x_train", "y_train", "x_test", "y_test"}
    assert checked["warnings"] == []
    assert len(metrics["series"]["val_acc"]) == 15
    assert job["state"] == "succeeded"
    assert job["evaluation"]["acc"] > 0.9
    assert len(predicted["y"]) == 297
    assert (folder / "story.txt").read_text().rstrip().rpartition("event: ")[2].startswith("end")
    assert (folder / "weights.h5").read_bytes()[:4] == b"\x89HDF"


@walked("docs/working-with-images.md", "docs/working-with-sequences.md", "docs/files.md")
def test_a_page_comes_out_as_it_says(page, url, folder):
    assert sum(map(bool, walks.walk(page, folder, url))) >= 2
