"""What supervisor and runner say to each other: one line each.

Down the runner's standard input come assignments; its end means that the supervisor is gone. Up its
standard output come the words below, with what belongs to them behind. All that lasts goes to the database, not
through here.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from core.leases import EXPRESS

#: The runner's process has begun; its number follows.
BORN = "born"
#: The runner is warm and waits for an assignment.
READY = "ready"
#: So many seconds took each of the epochs that have ended since the last time.
EPOCHS = "epochs"
#: The assignment has ended in the way that follows, and its end is written.
DONE = "done"
#: The way of an attempt that was refused a write: the job has gone on without it.
REFUSED = "lost_lease"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One attempt at a job, and everything its runner has to be told."""

    job_id: str
    project_id: str
    kind: str
    attempt: int
    worker: str
    definition: dict[str, Any]
    seed: int
    wish: str | None
    #: Whether there are checkpoints to go on from.
    resume: bool
    #: For files on the way in and out; the supervisor removes it.
    folder: str

    def line(self) -> bytes:
        """Write it for a pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read what `line` wrote."""
        return cls(**json.loads(line))

    @property
    def about(self) -> dict[str, Any]:
        """What every line of a log about it carries, as `extra`."""
        return {"job_id": self.job_id, "attempt": self.attempt}

    @property
    def is_inspection(self) -> bool:
        """Whether it is to look into a stranger's file, and trains nothing."""
        return "inspect" in self.definition

    @property
    def is_last(self) -> bool:
        """Whether its runner ends with it: one that has trained, or opened a stranger's file, serves nobody else."""
        return self.kind != EXPRESS or self.is_inspection

    @property
    def limit_seconds(self) -> float | None:
        """How long the caller lets the attempt run."""
        seconds = (self.definition.get("limits") or {}).get("seconds")
        return None if seconds is None else float(seconds)
