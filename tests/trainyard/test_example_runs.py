"""The examples' own commands, on slices of their data: from the job to the curve and the score."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.files import parts_of, ragged
from examples.run import HERE, NAMES, job_file
from examples.words import FIRST, START, UNKNOWN, numbered, vocabulary, words_of
from tests.trainyard.yards import UpCommand
from trainyard import jobfile

pytestmark = pytest.mark.xdist_group("examples")

ROOT = HERE.parent
SLICES = Path(__file__).parent.parent / "seed/slices"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    up = UpCommand(tmp_path_factory.mktemp("runs") / "data")
    yield up.url
    up.end()


def test_an_example_shows_its_curve_and_states_its_score(url):
    done = subprocess.run(
        [sys.executable, "-m", "examples.run", "mnist_mlp", "--epochs", "2", "--data", SLICES / "mnist_mlp.npz"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "160", "TRAINYARD_URL": url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"val_acc +\S{2} +0\.\d+ → 0\.\d+", done.stdout)
    assert re.search(r"Test score: loss \d\.\d+  acc 0\.\d+", done.stdout)


def test_every_example_has_a_job_a_page_and_data_and_is_told_of():
    told = (HERE / "README.md").read_text()
    assert set(NAMES) == {path.parent.name for path in HERE.glob("*/README.md")} - {"sequential", "seed"}
    for name in sorted(set(NAMES) - {"digits"}):
        assert f"[{name}]({name})" in told
        assert f"make example NAME={name}" in (HERE / name / "README.md").read_text()
        with job_file(name, 7) as path:
            job = jobfile.read(path)
        assert job["fit"]["nb_epoch"] == 7
        assert jobfile.wants_data(job)


def test_words_are_told_apart_and_numbered_as_by_keras_1():
    texts = [words_of("The whale, the WHALE!\nIt's the sea."), words_of("A whale")]
    known = vocabulary(texts, nb_words=FIRST + 2)

    assert texts[0] == ["the", "whale", "the", "whale", "it's", "the", "sea"]
    assert known == {"the": FIRST, "whale": FIRST + 1}
    assert numbered(texts[1], known) == [START, UNKNOWN, FIRST + 1]


def test_samples_are_parted_by_chance_but_always_alike_and_a_slice_is_the_beginning():
    whole, again, few = parts_of(1000, 800, False), parts_of(1000, 800, False), parts_of(1000, 800, True)

    assert sorted(np.concatenate(list(whole.values()))) == list(range(1000))
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    assert all(np.array_equal(whole[name][: len(few[name])], few[name]) for name in few)


def test_sequences_are_written_as_values_and_offsets():
    made = ragged("x", [[1, 2], [], [3]])

    assert made["words_x"].tolist() == [1, 2, 3]
    assert made["offsets_x"].tolist() == [0, 2, 2, 3]
