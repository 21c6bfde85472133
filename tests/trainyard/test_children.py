import os
import subprocess
import sys

import pytest

from tests.trainyard.yards import is_alive, wait_until
from trainyard.children import Child, Family


@pytest.fixture
def make_child(tmp_path):
    """A child running the given source; it writes its pid to pids.txt first."""

    def make(source, name="kid"):
        (tmp_path / f"{name}.py").write_text(
            "import os, signal, sys, time\n"
            f"open({str(tmp_path / 'pids.txt')!r}, 'a').write(f'{{os.getpid()}}\\n')\n" + source
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
        return Child(name, name, environment, tmp_path / f"{name}.log")

    return make


def pids(tmp_path):
    path = tmp_path / "pids.txt"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_child_that_dies_is_started_again(make_child, tmp_path):
    family = Family([make_child("print('I fail', flush=True); sys.exit(3)\n")])
    family.start()
    try:
        wait_until(lambda: len(pids(tmp_path)) >= 2)
    finally:
        family.end(5)

    assert "I fail" in family.children[0].last_words()


def test_ending_lets_a_child_clean_up(make_child, tmp_path):
    child = make_child(
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    family = Family([child])
    family.start()
    wait_until(lambda: "up" in child.last_words())
    family.end(20)

    assert child.last_words().splitlines() == ["up", "bye"]
    assert len(pids(tmp_path)) == 1


def test_a_child_that_will_not_go_is_killed(make_child, tmp_path):
    child = make_child("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)\n")
    family = Family([child])
    family.start()
    wait_until(lambda: "up" in child.last_words())
    family.end(0.1)

    assert not is_alive(pids(tmp_path)[0])


def test_children_end_when_their_parent_is_killed(make_child, tmp_path):
    child = make_child("time.sleep(60)\n")
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, pathlib, sys, time\n"
            "from trainyard.children import Child, Family\n"
            f"Family([Child('kid', 'kid', os.environ, pathlib.Path({str(child.log)!r}))]).start()\n"
            "time.sleep(60)",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
    )
    (kid,) = wait_until(lambda: pids(tmp_path))
    parent.kill()
    parent.wait()

    wait_until(lambda: not is_alive(kid))
