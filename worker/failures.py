"""From an exception to the typed failure that a caller reads.

Every failure has a stable `class`, a detail, who can mend it, and whether trying again may help. What we
did not foresee is `internal`: its trace goes to the log, and nothing of it to the caller.
"""

from typing import Any

from core.errors import ServiceError
from engine.errors import EngineError, RunError

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def failure_of(error: BaseException) -> dict[str, Any]:
    """Describe why an attempt failed."""
    if isinstance(error, RunError):
        told = failure(error.class_, str(error), who=error.who, retryable=error.retryable)
    elif isinstance(error, EngineError):
        told = failure("user_config", str(error), who="user")
    elif isinstance(error, ServiceError):
        told = failure("user_data", error.detail, who="user")
    elif is_out_of_memory(error):
        told = failure("out_of_memory", _memory_detail(error), who="user")
    else:
        told = failure("internal", "The run failed for a reason of ours; the worker's log has it.", retryable=True)
    if isinstance(error, EngineError) and error.where:
        told["pointer"] = error.where
    return told


def failure(class_: str, detail: str, *, who: str = "system", retryable: bool = False) -> dict[str, Any]:
    """Make the `error` of a job."""
    return {"class": class_, "detail": detail, "retryable": retryable, "who": who}


def time_limit(seconds: float) -> dict[str, Any]:
    """The failure of an attempt that took longer than its job allows."""
    detail = f"The run took longer than limits.seconds, {seconds:g}; allow more, or train less."
    return failure("time_limit", detail, who="user")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch says so in words on a CPU."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def _memory_detail(error: BaseException) -> str:
    first = str(error).strip().splitlines()[:1]
    said = f" ({first[0][:200]})" if first else ""
    return f"The run needs more memory than the worker has{said}; use a smaller batch_size or model."
