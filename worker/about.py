"""Every line of an attempt's log says of which job and which attempt it is, whoever writes it."""

import logging

from worker.protocol import Assignment


class _About(logging.Filter):
    """Gives lines that name no attempt the one that this process works on."""

    def __init__(self) -> None:
        super().__init__()
        self.assignment: Assignment | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if self.assignment is not None and not hasattr(record, "job_id"):
            record.__dict__.update(self.assignment.about)
        return True


_about = _About()


def talk_about(assignment: Assignment | None) -> None:
    """Let all that this process logs be about an attempt from now on: `job_id` and `attempt` of each record."""
    _about.assignment = assignment
    for handler in logging.getLogger().handlers:
        handler.addFilter(_about)
