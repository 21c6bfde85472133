"""The process that trains, forked by the nursery, or begun as `python -m worker.runner training|express`.

It warms up, says so, and waits for an assignment on standard input. In the training lane it lives for one
attempt; in the express lane it runs one short job after the other, up to one that opens a stranger's file.
"""

import logging
import os
import signal
import sys
import threading
from queue import SimpleQueue
from types import FrameType
from typing import BinaryIO

import torch

from core.database import open_sessions
from core.errors import LostLease
from core.settings import Settings, get_settings
from worker.about import talk_about
from worker.attempt import Attempt, Tools
from worker.logs import set_up_logging
from worker.nursery import call_ourselves
from worker.protocol import DONE, READY, REFUSED, Assignment
from worker.warmup import rehearse_queries, rehearse_training

log = logging.getLogger(__name__)

#: How long an attempt may take to give its job back once nobody is left to wait for it.
ORPHAN_SECONDS = 20.0


class Channel:
    """Standard input and output, kept for the supervisor alone."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._inbox: SimpleQueue[Assignment | None] = SimpleQueue()
        self._up = _take_standard_output()
        threading.Thread(target=self._listen, args=(sys.stdin.buffer,), name="supervisor", daemon=True).start()

    def say(self, *words: str) -> None:
        """Tell the supervisor a word of the protocol, and what belongs to it."""
        try:
            self._up.write(" ".join(words).encode() + b"\n")
            self._up.flush()
        except BrokenPipeError:
            log.warning("the supervisor is gone")

    def next(self) -> Assignment | None:
        """Wait for an assignment; None means that there will be none."""
        return self._inbox.get()

    def end(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Give back what is in hand and take nothing more."""
        self.stop.set()
        self._inbox.put(None)

    def _listen(self, down: BinaryIO) -> None:
        for line in down:
            self._inbox.put(Assignment.read(line))
        self.end()
        # Nobody renews the lease any more; an attempt that cannot leave in time must not linger.
        threading.Event().wait(ORPHAN_SECONDS)
        os._exit(1)


def main(lane: str) -> None:
    """Stand by, run, and go."""
    call_ourselves(f"{lane} runner")
    settings = get_settings()
    set_up_logging(settings)
    channel = Channel()
    signal.signal(signal.SIGTERM, channel.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.debug("a %s runner, which sees the GPUs %r", lane, os.environ.get("CUDA_VISIBLE_DEVICES"))
    tools = warm_tools(settings)
    channel.say(READY)
    while (assignment := channel.next()) and not channel.stop.is_set():
        run(assignment, tools, channel)
        if assignment.is_last:
            break
    logging.shutdown()
    # Tearing torch down takes a tenth of a second, and all that lasts is written.
    os._exit(0)


def run(assignment: Assignment, tools: Tools, channel: Channel) -> None:
    """Run one attempt; an end it cannot write is told by the exit code."""
    talk_about(assignment)
    try:
        outcome = Attempt(assignment, tools, channel.stop, channel.say).run()
    except LostLease as error:
        log.warning("%s", error)
        outcome = REFUSED
    except Exception:
        log.exception("the end of the attempt could not be written")
        os._exit(1)
    channel.say(DONE, outcome)
    talk_about(None)


def warm_tools(settings: Settings) -> Tools:
    """Open everything an attempt will use, so that it waits for nothing."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.deterministic and device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    tools = Tools(settings, open_sessions(settings.database_url), device)
    rehearse_training(device)
    rehearse_queries(tools)
    return tools


def _take_standard_output() -> BinaryIO:
    """Keep standard output for words alone; whatever a library prints goes to the log."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept


if __name__ == "__main__":
    main(sys.argv[1])
