"""A server as a child process, which can be killed and started again on the same ports and files."""

import contextlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

START_SECONDS = 60.0
GRACE_SECONDS = 40.0
#: Where servers listen; with what is 10,000 above, below the kernel's own on Linux and elsewhere.
PORTS = range(12_000, 22_000)


class Server:
    """One server process.

    Args:
        command: How it is started, every time.
        log: Where its output goes.
        answers: Tells whether it serves; may raise an OSError while it does not.
        options: For `subprocess.Popen`.
    """

    def __init__(self, command: Sequence[object], log: Path, answers: Callable[[], bool], **options: object) -> None:
        self.command, self.log, self.answers, self.options = [str(each) for each in command], log, answers, options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.launch()
        self.await_service()

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            # Away from the terminal, whose Ctrl-C is for whoever runs the tests.
            self.process = subprocess.Popen(self.command, start_new_session=True, **streams, **self.options)

    def await_service(self) -> None:
        """Wait until it serves.

        Raises:
            RuntimeError: It ends instead, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} does not serve: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """Send it a signal: SIGSTOP and SIGCONT make it half dead for a while."""
        if self.process:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self.end(signal.SIGKILL)

    def ask(self, number: int = signal.SIGTERM) -> None:
        """Tell it to end; one that is frozen hears it too."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)

    def await_end(self) -> None:
        """Wait until it is gone; one that does not listen is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        self.ask(number)
        self.await_end()

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End it and start it again, with what it has on disk."""
        self.end(number)
        self.start()

    def _serves(self) -> bool:
        with contextlib.suppress(OSError):
            return self.answers()
        return False


def free_ports(count: int) -> list[int]:
    """Find ports nobody listens on, each with the one 10,000 above it free as well.

    They are none of those that the kernel gives to whoever connects, or asks for any: one of these might be taken by
    somebody before it is listened on.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.SystemRandom().choice(PORTS)
            trials = [(held.enter_context(socket.socket()), each) for each in (port, port + 10_000)]
            if all(_binds(*trial) for trial in trials):
                ports.append(port)
        return ports


def _binds(trial: socket.socket, port: int) -> bool:
    try:
        trial.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
