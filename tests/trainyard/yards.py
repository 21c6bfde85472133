"""`trainyard up` as a process, and a look at the processes it starts."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

_MAIN = "from trainyard.cli import app; app()"


def wait_until(true, seconds=60.0):
    """Poll until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return value


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def family_of(pid):
    """A process and all that it, and they, have started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family_of(int(child))
    return found


class UpCommand:
    """`trainyard up` as a process."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.output = folder.with_name(folder.name + ".out")
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, "up", "--port", "0", "--data", str(folder), *arguments],
                stdout=file,
                stderr=file,
                env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
            )

    @property
    def text(self):
        return self.output.read_text()

    def await_text(self, pattern, seconds=90.0):
        def found():
            match = re.search(pattern, self.text)
            assert match or self.process.poll() is None, self.text
            return match

        return wait_until(found, seconds)

    @property
    def url(self):
        return self.await_text(r"up at (http://\S+)").group(1)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
