"""The program of docs/python.md, run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainyard.yards import UpCommand

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs/python.md").read_text()


@pytest.fixture
def url(tmp_path):
    up = UpCommand(tmp_path / "yard")
    yield up.url
    up.end()


def run(program, url):
    """Run a program as a reader would, in its own folder, against a yard."""
    return subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=program.parent,
        env=os.environ | {"TRAINYARD_URL": url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_guide_is_a_program_that_runs(url, tmp_path):
    program = tmp_path / "guide.py"
    program.write_text("\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)))

    done = run(program, url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Total params: 1,994" in done.stdout
    assert "epoch 5/5" in done.stdout
    assert list((tmp_path / "checkpoints").glob("*.h5"))


def test_the_readme_s_program_trains(url, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    data = "import numpy as np\nx, y = np.random.random((64, 64)), np.eye(10)[np.arange(64) % 10]\n"
    program = tmp_path / "readme.py"
    program.write_text(data + block)
    done = run(program, url)
    assert done.returncode == 0, done.stderr
    assert "epoch 20/20" in done.stdout


def test_every_link_of_the_guide_leads_somewhere():
    targets = re.findall(r"\]\(([\w./-]+)\)", GUIDE)
    assert targets
    assert all((ROOT / "docs" / each).exists() for each in targets)
