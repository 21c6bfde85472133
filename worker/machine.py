"""What this machine has for runners, told without torch: cores, memory, GPUs, and who was killed for want of memory."""

import os
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
#: The lines of a process's status that tell what it holds for itself; pages of mapped files can be had again.
_HELD = ("RssAnon:", "RssShmem:", "VmSwap:")
#: What share of the machine's memory all runners together may hold.
_RUNNERS_SHARE = 0.9


def cores() -> int:
    """Count the processors this process may use, where a container has fewer than its host."""
    mine = len(os.sched_getaffinity(0))
    return max(1, min([mine, *(int(quota) for quota in _quotas())]))


def memory_bytes() -> int:
    """Tell how much memory this process may use, where a container has less than its host."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_read("memory", "memory.max"), *_read("memory", "memory.limit_in_bytes")]
    return min([there_is, *(int(limit) for limit in limits if limit.isdigit())])


def runner_bytes(wanted: int | None, slots: int) -> int | None:
    """Tell what a runner may hold: what the operator wants, or its slot's share; None for as much as there is."""
    if wanted is not None:
        return wanted or None
    return int(_RUNNERS_SHARE * memory_bytes()) // slots


def held_bytes(pid: int) -> int:
    """Count what a process and all it has started hold of memory; nothing once it is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_text()
        children = [each.read_text().split() for each in (_PROC / str(pid) / "task").glob("*/children")]
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(_HELD)) * 1024
    return own + sum(held_bytes(int(child)) for each in children for child in each)


def oom_kills() -> int:
    """Count whom the kernel has ended for want of memory, in our control group where there is one."""
    counts = [*_read("memory", "memory.events"), *_read("memory", "memory.oom_control")]
    for text in [*counts, (_PROC / "vmstat").read_text()]:
        for line in text.splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def gpus(wanted: str) -> list[str]:
    """List the GPUs to share out, as CUDA names them: those the operator names, or all that can be seen."""
    visible = wanted if wanted != "all" else os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each.strip() for each in visible.split(",") if each.strip()]
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def _quotas() -> Iterator[float]:
    for text in _read("cpu", "cpu.max"):
        quota, _, period = text.partition(" ")
        if quota.isdigit():
            yield int(quota) / int(period)
    for quota, period in zip(_read("cpu", "cpu.cfs_quota_us"), _read("cpu", "cpu.cfs_period_us"), strict=True):
        if quota.isdigit():
            yield int(quota) / int(period)


def _read(controller: str, name: str) -> Iterator[str]:
    """Read a file of each control group this process is in, from its own up to the root, in version 2 or 1."""
    for line in (_PROC / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CONTROL_GROUPS / (controller if controllers else "")
        folder = root / path.lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(root) and (each / name).is_file():
                yield (each / name).read_text().strip()
