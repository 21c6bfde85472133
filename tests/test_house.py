"""Rules of the house that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("engine", "core", "api", "worker", "trainyard", "migrations", "benchmarks", "tests")
DASHBOARD = [*(ROOT / "dashboard").glob("*.py"), *(ROOT / "dashboard/src").rglob("*.[tc]s*")]
FILES = sorted([*DASHBOARD, *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))])
SOURCES = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tests"]


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_is_longer_than_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_nobody_commits_by_hand():
    assert [name(path) for path in SOURCES if ".commit(" in path.read_text()] == []


def test_transactions_are_opened_in_one_place_of_core_and_in_the_worker():
    opens = re.compile(r"sessions?(\(\))?\.begin\(|\.begin_nested\(")
    rooms = {name(path).split("/")[0] for path in SOURCES if opens.search(path.read_text())} - {"worker"}
    files = [name(path) for path in SOURCES if opens.search(path.read_text()) and "worker/" not in name(path)]
    assert rooms <= {"core"}, files
    assert set(files) <= {"core/unit.py"}


@pytest.mark.parametrize("package", PACKAGES[:5])
def test_every_package_says_what_it_is(package):
    assert '"""' in (ROOT / package / "__init__.py").read_text()


def test_the_gateway_and_the_client_import_no_torch():
    code = "import api.main, trainyard, trainyard.cli, engine, sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_client_alone_imports_nothing_of_the_service():
    code = (
        "import trainyard.cli, trainyard.http, sys; "
        "assert not {'fastapi', 'sqlalchemy', 'celery', 'torch', 'core', 'api', 'worker'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tests_of_a_group_run_in_one_process(tmp_path):
    text = (
        "import os, pathlib, pytest\n"
        "pytestmark = pytest.mark.xdist_group('all')\n"
        "@pytest.mark.parametrize('number', range(8))\n"
        "def test_is_here(number): (pathlib.Path(__file__).parent / f'ran-{number}').write_text(str(os.getpid()))\n"
    )
    (tmp_path / "test_group.py").write_text(text)
    options = ["-n", "2", "--dist", "loadgroup", "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    done = subprocess.run([sys.executable, "-m", "pytest", *options, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    ran = [path.read_text() for path in tmp_path.glob("ran-*")]
    assert (len(ran), len(set(ran))) == (8, 1)
