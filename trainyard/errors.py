"""What can go wrong on the caller's side of the wire.

TrainyardError
├── Unreachable     nobody answers at that address
├── Refused         the service answered with a problem
├── BadFile         a file of the caller's cannot be used
├── JobFailed       a job did not succeed
│   └── JobCancelled    it was stopped
├── StepFailed      a step of a session did not succeed; the session goes on
├── Detached        a job runs on without anybody who waits for it here
├── YardError       the embedded yard cannot start
└── Missing         packages of an extra are not installed
"""

from collections.abc import Mapping
from typing import Any


class TrainyardError(Exception):
    """Something the caller can read and act on."""


class Unreachable(TrainyardError):
    """Nobody answers at the service's address."""


class BadFile(TrainyardError):
    """A file of the caller's is missing or does not hold what it should."""


class JobFailed(TrainyardError):
    """A job that was waited for did not succeed.

    Args:
        job: The job as it ended.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.job = dict(job)
        error = job.get("error") or {}
        where = f" at {error['pointer']}" if error.get("pointer") else ""
        told = f": {error.get('class')}{where}: {error.get('detail')}" if error else ""
        super().__init__(f"{job['id']} {job['state']}{told or '.'}")


class JobCancelled(JobFailed):
    """A job that was waited for was stopped."""


class StepFailed(TrainyardError):
    """A step that was waited for did not succeed; it has changed nothing, and its session goes on.

    Args:
        job_id: The session.
        step: The step as the service tells of it.
    """

    def __init__(self, job_id: str, step: Mapping[str, Any]) -> None:
        self.job_id, self.step = job_id, dict(step)
        error = step.get("error") or {}
        where = f" at {error['pointer']}" if error.get("pointer") else ""
        told = f"{error.get('class')}{where}: {error.get('detail')}"
        super().__init__(f"Step {step['number']} of {job_id} failed: {told}")


class Detached(TrainyardError):
    """Nobody waits here any more for a job, which runs on.

    Args:
        job_id: The job.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"{job_id} runs on. Come back to it with Sequential.attach({job_id!r}).")


class YardError(TrainyardError):
    """The embedded yard cannot start or keep running."""


class Missing(TrainyardError):
    """Packages are not installed that only one of the extras brings.

    Args:
        package: What was looked for; all that the extra brings when absent.
        use: What needs it.
        extra: The extra.
    """

    def __init__(
        self, package: str | None, use: str = "This command runs the service itself", extra: str = "worker"
    ) -> None:
        super().__init__(
            f"{use} and needs {package or 'its packages'}, which is not installed here. In Trainyard's "
            f"own folder, install it with: pip install '.[{extra}]'"
        )


class Refused(TrainyardError):
    """The service said no, and why (RFC 9457).

    Args:
        status: HTTP status.
        problem: The problem's members; empty when the answer was not a problem.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        title = self.problem.get("title") or "The service refused"
        detail = self.problem.get("detail") or ""
        errors = [error for error in self.problem.get("errors") or [] if isinstance(error, dict)]
        pointed = [f"  {error.get('pointer') or '/'}: {error.get('detail', '')}" for error in errors]
        told = any(error.get("detail") == detail for error in errors)
        lines = [f"{title} ({self.status})", *([] if told or not detail else [f"  {detail}"]), *pointed]
        if self.status >= 500 and self.problem.get("request_id"):
            lines.append(f"  request {self.problem['request_id']}")
        return lines
