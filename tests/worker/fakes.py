"""Stand-ins for what takes seconds to start."""

import time


class FakeRunner:
    """A runner without a process."""

    def __init__(self, lane, changed):
        self.lane, self.changed = lane, changed
        self.ready = self.done = False
        self.assignment = self.exit_code = self.verdict = self.cancelled_at = self.lost_at = None
        self.assigned_at = self.held_at = 0.0
        self.held_bytes = self.oom_kills = 0
        self.pid = 0

    @property
    def idle(self):
        return self.ready and self.assignment is None and self.exit_code is None

    @property
    def busy(self):
        return self.assignment is not None and not self.done

    def assign(self, assignment):
        self.assignment, self.done = assignment, False
        self.assigned_at = self.held_at = time.monotonic()

    def release(self):
        self.assignment = None

    def dismiss(self):
        pass

    def ask_to_stop(self):
        self.exit(0)

    def kill(self, verdict):
        self.verdict = verdict
        self.exit(-9)

    def warm(self):
        self.ready = True
        self.changed()

    def exit(self, code):
        self.exit_code = code
        self.changed()


class Clock:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds
