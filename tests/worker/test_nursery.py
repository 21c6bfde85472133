"""Runners are born of a process that has imported torch, and are the worker's all the same."""

import os
import signal
from pathlib import Path

import pytest

from tests.worker.processes import alive
from tests.worker.small import until
from worker.lanes import Lane
from worker.nursery import Nursery
from worker.process import STILLBORN, RunnerProcess


@pytest.fixture
def lane():
    return Lane("training", 1, gpu="3", threads=2)


@pytest.fixture
def nursery(live, lane):
    nursery = Nursery(lane.shared)
    yield nursery
    nursery.end()


@pytest.fixture
def ask(lane):
    """Ask for a runner."""
    asked = []

    def ask(nursery):
        asked.append(RunnerProcess(lane, lambda: None, nursery))
        return asked[-1]

    yield ask
    for each in asked:
        each.kill("stopped")
        end_of(each)
        each.dismiss()


@pytest.fixture
def bear(ask):
    """Have a runner born, and wait until it stands by."""

    def bear(nursery):
        runner = ask(nursery)
        until(lambda: runner.ready or runner.exit_code is not None)
        return runner

    return bear


def end_of(runner):
    return until(lambda: runner.exit_code is not None and [runner.exit_code])[0]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def process_of(nursery):
    return nursery._process.pid


def test_a_runner_is_the_worker_s_own_child_with_a_process_group_of_its_own(nursery, bear):
    runner = bear(nursery)

    assert parent(runner.pid) == os.getpid()
    assert os.getpgid(runner.pid) == runner.pid
    assert os.getsid(runner.pid) not in (os.getsid(0), os.getsid(1))  # our terminal is not its
    assert Path(f"/proc/{runner.pid}/comm").read_text() == "training runner\n"


def test_runners_share_what_the_nursery_has_imported(nursery, bear):
    first, second = bear(nursery), bear(nursery)

    command = Path(f"/proc/{process_of(nursery)}/cmdline").read_bytes()
    assert {Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in (first, second)} == {command}
    assert len(os.listdir(f"/proc/{process_of(nursery)}/task")) == 1, "who is forked from threads may hang"


@pytest.mark.parametrize(("end", "code"), [("dismiss", 0), ("kill", -signal.SIGKILL)])
def test_how_a_runner_ends_is_heard(nursery, bear, end, code):
    runner = bear(nursery)
    runner.dismiss() if end == "dismiss" else runner.kill("stopped")

    assert end_of(runner) == code


def test_a_nursery_that_dies_takes_nobody_along_and_another_one_follows(nursery, bear):
    runner, before = bear(nursery), process_of(nursery)
    os.kill(before, signal.SIGKILL)
    until(lambda: bear(nursery).ready)  # what was asked for in the moment of its death is not born

    assert runner.exit_code is None
    assert process_of(nursery) != before


def test_a_runner_that_is_asked_for_and_never_born_has_ended(nursery, ask):
    runner = ask(nursery)
    nursery.end()

    assert end_of(runner) == STILLBORN


def test_a_runner_that_comes_to_a_halt_before_it_has_begun_can_be_ended(live, lane, ask):
    nursery = Nursery(lane.shared | {"TRAINYARD_WORKER_SLOTS": "none"})  # such settings end it before its first word
    runner = ask(nursery)

    assert end_of(runner) == 1
    assert runner.pid
    nursery.end()


def test_a_runner_sees_the_gpu_of_its_lane(live, lane, bear, capfd, monkeypatch):
    monkeypatch.setenv("TRAINYARD_LOG_LEVEL", "debug")
    nursery = Nursery(lane.shared)
    bear(nursery)
    nursery.end()

    assert "a training runner, which sees the GPUs '3'" in capfd.readouterr().err


def test_where_a_library_has_started_a_thread_runners_begin_afresh(live, bear, lane, capfd):
    nursery = Nursery(lane.shared | {"OPENBLAS_NUM_THREADS": "2"})
    runner = bear(nursery)
    nursery.end()

    assert runner.ready
    assert b"worker.runner\0training" in Path(f"/proc/{runner.pid}/cmdline").read_bytes()
    assert b"CUDA_VISIBLE_DEVICES=3" in Path(f"/proc/{runner.pid}/environ").read_bytes().split(b"\0")
    assert "a library has started a thread" in capfd.readouterr().err


def test_a_runner_that_ends_before_it_is_ours_is_heard_all_the_same(bear, nursery, monkeypatch):
    runner, waitpid, asked = bear(nursery), os.waitpid, []

    def not_yet(pid, options):
        asked.append(pid)
        if len(asked) < 3:
            raise ChildProcessError
        return waitpid(pid, options)

    monkeypatch.setattr("worker.process.os.waitpid", not_yet)
    runner.kill("stopped")
    assert end_of(runner) == -signal.SIGKILL
    monkeypatch.undo()


class Elsewhere:
    """Not torch, but a program that starts another one, as the compiler of steps is."""

    def bear(self, kind, environment):
        its_input, ours = os.pipe()
        heard, its_output = os.pipe()
        script = 'sleep 1000 > /dev/null & echo "born $$"; echo "ready"; echo $! > "$0"; wait'
        streams = [(os.POSIX_SPAWN_DUP2, its_input, 0), (os.POSIX_SPAWN_DUP2, its_output, 1)]
        os.posix_spawn("/bin/sh", ["sh", "-c", script, self.file], os.environ, file_actions=streams, setsid=True)
        os.close(its_input)
        os.close(its_output)
        return os.fdopen(ours, "wb"), os.fdopen(heard, "rb")


def test_what_a_runner_has_started_goes_with_it_whoever_has_killed_it(bear, tmp_path):
    elsewhere = Elsewhere()
    elsewhere.file = str(tmp_path / "pid")
    runner = bear(elsewhere)
    started = int(until(lambda: Path(elsewhere.file).exists() and Path(elsewhere.file).read_text()))
    assert alive(started)
    os.kill(runner.pid, signal.SIGKILL)

    until(lambda: not alive(started))
