"""Names the service gives to things: a prefix that says the kind, and a ULID that sorts by time."""

from ulid import ULID

#: The project that owns everything until the first API key is made; the first migration stores it.
DEFAULT_PROJECT = "prj_default"


def new_id(prefix: str) -> str:
    """Make an id such as `job_01JD…`, unique without asking anyone."""
    return f"{prefix}_{ULID()}"
