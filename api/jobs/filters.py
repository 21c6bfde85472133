"""What a list of jobs can be narrowed to."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from core.errors import BadPage
from core.jobs import Filters
from core.tables import JobState

LABEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_./-]{0,62}):([^\x00]{0,200})")


def filters(
    state: Annotated[list[str] | None, Query()] = None,
    label: Annotated[list[str] | None, Query()] = None,
    created_after: Annotated[datetime | None, Query()] = None,
) -> Filters:
    """Read `state` and `label`, which may come more than once, and `created_after`.

    Raises:
        BadPage: One of them says nothing.
    """
    if created_after and created_after.tzinfo is None:
        raise _bad("created_after", "Give a time zone, such as 2026-01-31T12:00:00Z.")
    return Filters(_states(state or []), dict(_label(each) for each in label or []), created_after)


FiltersDep = Annotated[Filters, Depends(filters)]


def _states(given: list[str]) -> list[str]:
    states = [state for each in given for state in each.split(",")]
    for state in states:
        if state not in set(JobState):
            raise _bad("state", f"There is no state {state[:40]!r}; there is {', '.join(JobState)}.")
    return states


def _label(given: str) -> tuple[str, str]:
    found = LABEL.fullmatch(given)
    if found is None:
        raise _bad("label", f"{given[:80]!r} is no label; write key:value, such as team:a.")
    return found[1], found[2]


def _bad(parameter: str, fault: str) -> BadPage:
    return BadPage(fault, errors=[{"parameter": parameter, "detail": fault}])
