"""From an exception to the typed failure that a caller reads.

Every failure has a stable `class`, a detail, who can mend it, and whether trying again may help. What we
did not foresee is `internal`: its trace goes to the log, and nothing of it to the caller.
"""

import errno
import signal
from collections.abc import Iterator
from typing import Any

from obstore.exceptions import BaseError as StorageError

from core.errors import ServiceError
from engine.errors import EngineError, RunError

NO_MEMORY, DISK_FULL, STORAGE = "out_of_memory", "disk_full", "infra_storage"
#: Failures of what we run on: another attempt is made, later.
PASSING = frozenset({DISK_FULL, STORAGE})

#: How libraries say in words that memory has run out: torch on a processor, and CUDA's libraries.
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed", "bad_alloc")
#: How libraries say it of the disk that have no errno to say it with.
_NO_SPACE = ("no space left on device", "disk quota exceeded", "os error 28")


class BrokenInput(ServiceError):
    """What a job reads is gone from the storage, or is not what was uploaded.

    Args:
        what: Whose bytes they were.
        fault: What is wrong with them.
    """

    type = "input_damaged"

    def __init__(self, what: str, fault: str) -> None:
        super().__init__(f"The stored bytes of {what} {fault}. Make it anew, and submit a job that names the new one.")


class LostInput(BrokenInput):
    """The bytes are gone."""

    type = "input_lost"


def failure_of(error: BaseException) -> dict[str, Any]:
    """Describe why an attempt failed."""
    if isinstance(error, RunError):
        told = failure(error.class_, str(error), who=error.who, retryable=error.retryable)
    elif isinstance(error, EngineError):
        told = failure("user_config", str(error), who="user")
    elif isinstance(error, BrokenInput):
        told = failure(error.type, error.detail)
    elif isinstance(error, ServiceError):
        told = failure("user_data", error.detail, who="user")
    else:
        told = _of_the_machine(error)
    if isinstance(error, EngineError) and error.where:
        told["pointer"] = error.where
    return told


def _of_the_machine(error: BaseException) -> dict[str, Any]:
    if is_out_of_memory(error):
        return no_memory(str(error).strip().partition("\n")[0][:200])
    if is_disk_full(error):
        return failure(DISK_FULL, "The disk of the worker or of the storage is full.", retryable=True)
    if isinstance(error, OSError | StorageError):
        return failure(STORAGE, "The storage did not answer, or did not do what it was asked.", retryable=True)
    return failure("internal", "The run failed for a reason of ours; the worker's log has it.", retryable=True)


def failure(class_: str, detail: str, *, who: str = "system", retryable: bool = False) -> dict[str, Any]:
    """Make the `error` of a job."""
    return {"class": class_, "detail": detail, "retryable": retryable, "who": who}


def time_limit(seconds: float) -> dict[str, Any]:
    """The failure of an attempt that took longer than its job allows."""
    detail = f"The run took longer than limits.seconds, {seconds:g}; allow more, or train less."
    return failure("time_limit", detail, who="user")


def no_memory(said: str) -> dict[str, Any]:
    """The failure of an attempt that needed more memory than there is for it."""
    said = f" ({said})" if said else ""
    detail = f"The run needs more memory than the worker has for it{said}; use a smaller batch_size or model."
    return failure(NO_MEMORY, detail, who="user")


def crashed(class_: str, exit_code: int | None) -> dict[str, Any]:
    """The failure of a job whose runners died without a word."""
    known = exit_code is not None and -exit_code in set(signal.Signals)
    how = signal.Signals(-exit_code).name if known and exit_code else f"exit code {exit_code}"
    return failure(class_, f"The process that trained ended by {how}.", retryable=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch says so by a class of its own on a GPU, and in words elsewhere."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _says(error, _NO_MEMORY)


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk is full, here or behind the storage; what raised it may have wrapped the cause."""
    return any(_is_full(each) for each in _chain(error))


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, OSError | StorageError) and _says(error, _NO_SPACE)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(each in said for each in words)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
