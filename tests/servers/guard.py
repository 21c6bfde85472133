"""Ends every process that has to do with a folder, once whoever asked for that is gone, however it went.

A frozen worker, a runner whose worker was killed, a server that was just being restarted: whose command line or
environment names the folder is ended. `python -m tests.servers.guard FOLDER` waits for the end of its input first.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 20.0


def those_of(folder: Path) -> list[int]:
    """Find the processes that name a folder, but for this one."""
    found = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and _names(each, folder)]
    return [pid for pid in found if pid not in (os.getpid(), os.getppid())]


def end_all(folder: Path) -> None:
    """End them all, and those that they start meanwhile."""
    deadline = time.monotonic() + SECONDS
    while (pids := those_of(folder)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Have nothing of the folder outlive the block, nor this process."""
    command = [sys.executable, "-m", "tests.servers.guard", str(folder)]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        guard.stdin.close()
        guard.wait()


def _names(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        wanted = os.fsencode(folder)
        return any(wanted in (process / part).read_bytes() for part in ("cmdline", "environ"))
    return False


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_all(Path(sys.argv[1]))
