"""The Sequential guide's models, submitted from the command line as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainyard.yards import UpCommand

pytestmark = pytest.mark.xdist_group("examples")

FOLDER = Path(__file__).parent.parent.parent / "examples/sequential"
LONG = {"vgg", "image_captioning", "lstm_classification"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    up = UpCommand(tmp_path_factory.mktemp("examples") / "data")
    yield up.url
    up.end()


@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.slow] * (each in LONG)) for each in NAMES])
def test_an_example_trains_to_its_end_when_it_is_submitted(url, name):
    job = json.loads((FOLDER / f"{name}.json").read_text())
    code = "from trainyard.cli import app; app()"

    done = subprocess.run(
        [sys.executable, "-c", code, "submit", str(FOLDER / f"{name}.json"), "--follow", "--url", url],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert ("acc" in done.stdout) == ("metrics" in job["compile"])


def test_the_folder_holds_the_guides_nine_models_and_tells_of_each():
    told = (FOLDER / "README.md").read_text()
    assert len(NAMES) == 9
    assert all(f"`{name}.json`" in told for name in NAMES)
