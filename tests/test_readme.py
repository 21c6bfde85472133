"""The README's walk, pasted into a shell, and its program."""

import subprocess
import sys

import pytest

from tests import walks
from tests.guides import ROOT, given


@pytest.fixture
def folder(tmp_path):
    """Where the reader stands after `make run`."""
    walks.equip(tmp_path)
    digits = tmp_path / ".trainyard" / "digits.npz"
    digits.parent.mkdir()
    subprocess.run([sys.executable, ROOT / "examples/digits/data.py", digits], check=True)
    return tmp_path


@given("README.md", kind="bash")
def test_the_curl_walk_works_when_pasted_and_when_it_is_pasted_again(guide, url, folder):
    for _ in range(2):
        answers = list(walks.documents(walks.paste(guide.text, folder, url)))
        assert set(answers[0]["arrays"]) >= {"x_train", "y_train", "x_test", "y_test"}
        metrics = next(each for each in answers if "series" in each)
        assert len(metrics["series"]["val_acc"]) == 20
        assert metrics["series"]["val_acc"][-1] > 0.9
        assert len(answers[-1]["y"][0]) == 10
        assert (folder / "weights.h5").read_bytes()[:4] == b"\x89HDF"


@given("README.md", kind="bash")
def test_the_curl_walk_says_what_is_wrong_and_ends_when_a_job_is_refused(guide, url, folder):
    with pytest.raises(AssertionError, match="There is no metric named 'accuracies'"):
        walks.paste(guide.text.replace('"accuracy"', '"accuracies"'), folder, url)


@given("README.md", kind="python")
def test_the_program_trains(guide, url, folder):
    (folder / "readme.py").write_text(guide.text)
    assert "epoch 20/20" in walks.paste(".venv/bin/python readme.py", folder, url)
