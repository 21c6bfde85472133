"""A job as a file: read it, and put an uploaded dataset where it says `$data`."""

import json
from pathlib import Path
from typing import Any

from trainyard.errors import BadFile

_MARK = "$data"


def read(path: Path) -> dict[str, Any]:
    """Read a job's JSON.

    Raises:
        BadFile: It cannot be read, or is no JSON object.
    """
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise BadFile(f"{path} is not JSON: {error}.") from error
    if not isinstance(job, dict):
        raise BadFile(f"{path} holds a {type(job).__name__}; a job is a JSON object.")
    return job


def wants_data(job: Any) -> bool:
    """Whether any reference in the job begins with `$data`."""
    if isinstance(job, dict):
        return any(wants_data(value) for value in job.values())
    if isinstance(job, list):
        return any(wants_data(value) for value in job)
    return isinstance(job, str) and _is_reference(job)


def with_data(job: Any, dataset_id: str) -> Any:
    """The same job with `$data/x` turned into `ds_…/x`, wherever it stands."""
    if isinstance(job, dict):
        return {key: with_data(value, dataset_id) for key, value in job.items()}
    if isinstance(job, list):
        return [with_data(value, dataset_id) for value in job]
    if isinstance(job, str) and _is_reference(job):
        return dataset_id + job.removeprefix(_MARK)
    return job


def _is_reference(text: str) -> bool:
    return text == _MARK or text.startswith(_MARK + "/")
