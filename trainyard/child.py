"""Runs a module as a child that does not outlive its parent.

`python -m trainyard.child worker.main` is `python -m worker.main`, ended when standard input reaches
its end: the parent holds the other side of that pipe, so it closes however the parent dies.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 20.0


def main() -> None:
    """Watch standard input and become the named module."""
    module = sys.argv[1]
    threading.Thread(target=_outlive_nobody, args=(sys.stdin.fileno(),), name="parent", daemon=True).start()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _outlive_nobody(parent: int) -> None:
    while os.read(parent, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
