"""Where runners come from: a process that has imported all they need, and is forked for each of them.

Importing torch takes seconds of a processor; a fork takes hundredths, and shares the memory of what was imported.
`python -m worker.nursery` runs no operation and starts no thread, for what is forked from a process with threads may
hang. Where a library has started one all the same, each runner is begun afresh instead.
"""

import ctypes
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from worker.protocol import BORN

log = logging.getLogger(__name__)

#: Of `prctl`: orphans among our descendants become our children, and not those of the first process.
_SET_CHILD_SUBREAPER = 36
#: A request fits into one message, and two file descriptors go with it.
_MOST_BYTES, _DESCRIPTORS = 65_536, 2


class Nursery:
    """The worker's side. Runners are the worker's children: it hears how they end, and the nursery may die in peace.

    Args:
        environment: All that runners find in theirs, but for what each is given.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        # numpy's library would start a thread for every core as it is loaded, and runners hardly use it.
        self._environment = {"OPENBLAS_NUM_THREADS": "1"} | dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def bear(self, kind: str, environment: Mapping[str, str]) -> tuple[IO[bytes], IO[bytes]]:
        """Ask for a runner, and wait for nothing.

        Args:
            kind: Of the jobs it is for.
            environment: Variables of its own.

        Returns:
            Its standard input and output. The second ends without a word where none was born.
        """
        request = json.dumps({"kind": kind, "environment": dict(environment)}).encode()
        its_input, our_output = os.pipe()
        our_input, its_output = os.pipe()
        try:
            self._ask(request, [its_input, its_output])
        finally:
            os.close(its_input)
            os.close(its_output)
        return os.fdopen(our_output, "wb"), os.fdopen(our_input, "rb")

    def end(self) -> None:
        """Let no more be born; those who are go on."""
        if self._line:
            self._line.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None

    def _ask(self, request: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._open_line(), [request], descriptors)
        except BrokenPipeError:  # it has died just now
            self.end()
            socket.send_fds(self._open_line(), [request], descriptors)

    def _open_line(self) -> socket.socket:
        if self._process and self._process.poll() is not None:
            self.end()
        if self._line is None:
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            safe = ["-P"] if sys.flags.safe_path else []
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, *safe, "-m", "worker.nursery"],
                    env=self._environment,
                    stdin=theirs.fileno(),
                    start_new_session=True,
                )
        return self._line


def main() -> None:
    """Fork until the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from worker import runner

    call_ourselves("nursery")
    line = socket.socket(fileno=os.dup(0))
    alone = len(os.listdir("/proc/self/task")) == 1
    if not alone:
        log.warning("a library has started a thread: every runner imports torch for itself")
    gc.freeze()  # what was imported stays in memory that all share
    while True:
        request, descriptors, _, _ = socket.recv_fds(line, _MOST_BYTES, _DESCRIPTORS)
        if not request:
            return
        if os.fork() == 0:
            asked = json.loads(request)
            _become(asked["kind"], asked["environment"], descriptors, line)
            if not alone:
                os.execv(sys.executable, [sys.executable, "-m", "worker.runner", asked["kind"]])  # noqa: S606
            runner.main(asked["kind"])
        os.wait()
        for each in descriptors:
            os.close(each)


def call_ourselves(name: str) -> None:
    """Tell `ps` and `top` what this process is; 15 characters at most."""
    Path("/proc/self/comm").write_text(name)


def _become(kind: str, environment: dict[str, str], descriptors: list[int], line: socket.socket) -> None:
    """Leave the nursery: the process in the middle ends, so that the kernel hands us over to the worker."""
    middle = os.getpid()
    if born := os.fork():
        # Told before it does anything, so that the worker can end it wherever it may come to a halt.
        os.setpgid(born, born)
        os.write(descriptors[1], f"{BORN} {born}\n".encode())
        os._exit(0)
    while os.getppid() == middle:
        time.sleep(0.0005)
    line.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.update(environment)


if __name__ == "__main__":
    main()
