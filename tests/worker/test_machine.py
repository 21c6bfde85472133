"""What a worker knows of its machine, and how it shares it out."""

import os
import subprocess
import sys

import pytest

from core.settings import Settings
from worker import machine
from worker.lanes import lanes_of


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A container that sees the files it is given, by their paths below /proc and /sys/fs/cgroup."""
    for name, folder in (("_PROC", "proc"), ("_CONTROL_GROUPS", "groups")):
        monkeypatch.setattr(machine, name, tmp_path / folder)

    def box(groups, **files):
        for path, text in ({"proc/self/cgroup": groups, "proc/vmstat": "oom_kill 1\n"} | files).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return box


V2, V1 = "0::/a/b\n", "4:cpu,cpuacct:/a\n3:memory:/a\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        (V2, {"groups/a/memory.max": "1048576\n", "groups/a/b/memory.max": "max\n"}),
        (V1, {"groups/memory/a/memory.limit_in_bytes": "1048576\n"}),
    ],
)
def test_a_container_has_as_much_memory_as_it_is_given(box, groups, files):
    box(groups, **files)
    assert machine.memory_bytes() == 2**20


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        (V2, {"groups/a/cpu.max": "150000 100000\n"}),
        (V1, {"groups/cpu/a/cpu.cfs_quota_us": "100000\n", "groups/cpu/a/cpu.cfs_period_us": "100000\n"}),
    ],
)
def test_a_container_has_as_many_cores_as_it_is_given(box, groups, files):
    box(groups, **files)
    assert machine.cores() == 1


def test_without_limits_it_is_the_whole_machine(box):
    box(V1, **{"groups/cpu/a/cpu.cfs_quota_us": "-1\n", "groups/cpu/a/cpu.cfs_period_us": "100000\n"})
    assert machine.cores() == len(os.sched_getaffinity(0))
    assert machine.memory_bytes() > 2**30


@pytest.mark.parametrize(
    ("groups", "files", "kills"),
    [
        (V2, {"groups/a/b/memory.events": "oom 4\noom_kill 3\n"}, 3),
        (V1, {"groups/memory/a/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        (V2, {}, 1),
    ],
)
def test_those_whom_the_kernel_has_ended_are_counted(box, groups, files, kills):
    box(groups, **files)
    assert machine.oom_kills() == kills


def test_this_machine_tells_all_of_it():
    assert machine.cores() >= 1
    assert machine.memory_bytes() > 2**27
    assert machine.oom_kills() >= 0


def test_what_a_process_and_its_children_hold_is_counted_and_mapped_files_are_not(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 2**26)
    grow = "import sys; held = bytearray(b'x' * 2**26); print(flush=True); sys.stdin.read()"
    code = (
        "import mmap, subprocess, sys; file = open(sys.argv[1]); mapped = mmap.mmap(file.fileno(), 0, access=1); "
        f"sum(mapped[::4096]); subprocess.run([sys.executable, '-c', {grow!r}])"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "file"], **pipes) as process:
        process.stdout.readline()
        held = machine.held_bytes(process.pid)
        process.stdin.close()

    assert 2**26 < held < 2 * 2**26
    assert machine.held_bytes(process.pid) == 0


@pytest.mark.parametrize(("wanted", "slots", "most"), [(None, 2, 450), (0, 2, None), (77, 2, 77)])
def test_a_runner_may_hold_its_slots_share_unless_the_operator_says_otherwise(monkeypatch, wanted, slots, most):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    assert machine.runner_bytes(wanted, slots) == most


@pytest.mark.parametrize(
    ("wanted", "visible", "gpus"),
    [
        ("0,1", None, ["0", "1"]),
        ("0,1", "5", ["0", "1"]),
        ("all", "2, 3", ["2", "3"]),
        ("all", "", []),
        ("all", None, []),
        ("", "2", []),
    ],
)
def test_gpus_are_those_the_operator_names_or_those_that_can_be_seen(monkeypatch, wanted, visible, gpus):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine.Path, "glob", lambda *_: [])  # whatever this machine has
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus(wanted) == gpus


def lanes(places=None, **values):
    made = lanes_of(Settings(_env_file=None, **values), places)
    return [(lane.kind, lane.gpu, lane.places) for lane in made]


def test_each_slot_has_a_gpu_of_its_own():
    assert lanes(worker_slots=2, gpus="4,7") == [("training", "4", 1), ("training", "7", 1), ("express", "4", 1)]


def test_more_slots_than_gpus_take_turns_and_more_gpus_than_slots_stay_free():
    assert lanes(worker_slots=3, gpus="0,1")[:2] == [("training", "0", 2), ("training", "1", 1)]
    assert lanes(worker_slots=1, gpus="0,1")[:1] == [("training", "0", 1)]


def test_without_gpus_there_is_one_lane_for_all_slots(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert lanes(worker_slots=3) == [("training", None, 3), ("express", None, 1)]
    assert lanes(worker_slots=3, gpus="") == [("training", "", 3), ("express", "", 1)]


def test_runners_share_the_cores_unless_the_operator_has_said_how_many_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 8)
    (lane, _) = lanes_of(Settings(_env_file=None, worker_slots=3, gpus=""))
    assert lane.shared["OMP_NUM_THREADS"] == "2"
    assert lane.shared["PATH"] == os.environ["PATH"]

    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert lane.shared["OMP_NUM_THREADS"] == "5"


def test_a_worker_imports_no_torch_itself():
    code = "import worker.main, worker.health, sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("gpus", ["0,,1", "all,0", "0 1", ","])
def test_a_list_of_gpus_that_is_none_is_refused(gpus):
    with pytest.raises(ValueError, match="gpus"):
        Settings(_env_file=None, gpus=gpus)
