"""The README's walk, pasted into a shell."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainyard.yards import UpCommand

ROOT = Path(__file__).parent.parent


@pytest.fixture
def url(tmp_path):
    up = UpCommand(tmp_path / "yard")
    yield up.url
    up.end()


def test_the_curl_walk_works_when_pasted_line_by_line(url, tmp_path):
    (walk,) = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    digits = tmp_path / ".trainyard" / "digits.npz"
    digits.parent.mkdir()
    subprocess.run([sys.executable, ROOT / "examples/digits/data.py", digits], check=True)

    pasted = subprocess.run(
        ["bash"],
        input=walk,
        cwd=tmp_path,
        env=os.environ | {"TRAINYARD_URL": url},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )

    assert pasted.stderr == ""
    answers = list(decoded(pasted.stdout))
    assert set(answers[0]["arrays"]) >= {"x_train", "y_train", "x_test", "y_test"}
    metrics = next(each for each in answers if "series" in each)
    assert len(metrics["series"]["val_acc"]) == 20
    assert metrics["series"]["val_acc"][-1] > 0.9
    assert len(answers[-1]["y"][0]) == 10
    assert (tmp_path / "weights.h5").read_bytes()[:4] == b"\x89HDF"


def decoded(text):
    """Read JSON documents that stand one after the other."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()
