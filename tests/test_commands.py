"""The commands that pages tell a reader to type: targets of make, the examples, and what is to be installed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from examples.run import NAMES, parser
from tests import walks
from tests.guides import ROOT, given
from tests.trainyard.yards import UpCommand

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The examples that one command of make runs.
MADE = tuple(f"examples/{name}/README.md" for name in NAMES if name != "digits")

pytestmark = pytest.mark.xdist_group("commands")


def typed(guide):
    """The commands of a block, without what is said about them."""
    return [shlex.split(line, comments=True) for line in guide.text.splitlines()]


def recipe(*arguments):
    """What make would do, if all that is made once were made."""
    made = ("-o", ".venv/.installed", "-o", "dashboard/dist/index.html", "-o", ".trainyard/digits.npz")
    # These tests are run by make themselves, and one make within another says where it is.
    command = ["make", "--no-print-directory", "--dry-run", *made, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@given("README.md", "CONTRIBUTING.md", kind="sh")
def test_make_does_what_a_page_says_that_it_does(guide):
    what = {"run": "trainyard up --submit", "install": "", "test": "pytest -n auto", "check": "ruff check"}
    for command, target in typed(guide):
        assert command == "make"
        assert any(what[target] in line for line in recipe(target)) or not what[target]


@given("examples/README.md", *MADE, kind="sh")
def test_make_runs_an_example_as_its_page_says(guide):
    for command, *arguments in typed(guide):
        assert command == "make"
        python, *program = shlex.split(recipe(*arguments)[-1])
        assert (python, program[:2]) == (".venv/bin/python", ["-m", "examples.run"])
        asked = parser().parse_args(program[2:])
        assert guide.page in ("examples/README.md", f"examples/{asked.name}/README.md")


def test_every_command_of_make_within_the_text_of_a_page_is_one_there_is():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/README.md")]
    named = {each for page in pages for each in re.findall(r"`(make [^`]+)`", page.read_text())}
    assert {"make run", "make example NAME=mnist_cnn"} <= named
    for command in named:
        recipe(*shlex.split(command)[1:])


@given("examples/seed/README.md", "examples/sequential/README.md", kind="sh")
def test_an_example_of_the_guide_runs_in_its_folder(guide, url, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree((ROOT / guide.page).parent, folder)
    walks.equip(folder)
    walks.paste(guide.text, folder, url)


@given("examples/digits/README.md", kind="sh")
def test_the_digits_are_trained_as_their_page_says(guide, url, tmp_path):
    alone, shared = guide.blocks
    install, make_data, up = alone.splitlines()
    folder = tmp_path / "copy"
    shutil.copytree((ROOT / guide.page).parent, folder)
    walks.equip(folder)

    project, extras = re.search(r"pip install '(.+?)\[(.+?)\]'", install).groups()
    assert ((ROOT / guide.page).parent / project).resolve() == ROOT
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    walks.paste(make_data, folder, url)
    _, *arguments = shlex.split(up, comments=True)
    own = UpCommand(folder / "yard", *_in(folder, arguments[1:]))
    try:
        assert float(own.await_text(r"Test score: .*acc (0\.\d+)")[1]) > 0.95
    finally:
        own.end()

    submit, download = shared.splitlines()
    printed = walks.paste(submit, folder, url)
    job = re.search(r"(job_\w+) succeeded", printed)[1]
    walks.paste(download.replace("JOB", job), folder, url)
    assert (folder / "weights.h5").read_bytes()[:4] == b"\x89HDF"


def _in(folder, arguments):
    return [str(folder / each) if (folder / each).exists() else each for each in arguments]


@given("tests/interop/README.md", kind="sh")
def test_what_asks_the_originals_is_there_and_asks_the_versions_that_have_answered(guide):
    commands = guide.text.replace("\\\n", "").splitlines()
    programs = [each for line in commands for each in re.findall(r"tests/\S+|(?<=-m )tests\.\S+", line)]
    assert len(programs) == 5
    for program in programs:
        path = ROOT / program.replace(".", "/") if program.startswith("tests.") else ROOT / program
        assert path.exists() or path.with_suffix(".py").exists(), program
    answers = json.loads((ROOT / "tests/interop/keras3_exports.json").read_text())
    assert f"keras=={answers['keras']} " in guide.text


@given("ARCHITECTURE.md", kind="text")
def test_the_drawing_of_the_packages_is_what_their_imports_are_held_to(guide):
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    lines = [line for line in guide.text.splitlines() if line.strip(" \\/")]
    drawn = [set(re.match(r" *([a-z]+)(?: +([a-z]+)\b)?", line).groups("")) - {""} for line in lines]
    assert [len(names) for names in drawn] == [1, 2, 2]
    for layer, names in zip(layers, drawn, strict=True):
        assert names <= set(layer.split(" | "))


def test_python_s_minimum_is_that_of_the_page():
    minimum = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"Python {minimum}" in (ROOT / "README.md").read_text()
    assert sys.version_info >= tuple(map(int, minimum.split(".")))
