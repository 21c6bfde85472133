"""What watchers ask: one query for any number of jobs, of the same text each time, so that it is planned once."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, TextClause, column, select, text
from sqlalchemy.orm import Session

from core.tables import TERMINAL, Event, Job

#: How each database takes a list as one parameter: one text, planned once, serves one id and ten thousand.
SQLITE, POSTGRES = "sqlite", "postgresql"
AMONG = {
    SQLITE: "IN (SELECT value FROM json_each(:ids))",
    POSTGRES: "= ANY(CAST(:ids AS text[]))",
}
WANTED = {
    SQLITE: "(SELECT json_extract(value, '$[0]') AS job_id, json_extract(value, '$[1]') AS after "
    "FROM json_each(:pairs)) AS wanted",
    POSTGRES: "unnest(CAST(:ids AS text[]), CAST(:afters AS bigint[])) AS wanted(job_id, after)",
}

#: What is read for one look, however many ask: beyond it they ask again.
MOST_EVENTS = 20_000
MOST_OF_ONE_JOB = 200

#: A job, and the number of the last event that is known of it.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """The little of a job by which a watcher knows whether it has changed."""

    id: str
    project_id: str
    version: int
    state: str
    last_event: int
    created_at: datetime
    started_at: datetime | None
    steps_sent: int
    steps_done: int

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended for good."""
        return self.state in TERMINAL

    def is_newer(self, than: "Mark") -> bool:
        """Whether something has happened since; both numbers only ever grow."""
        return self.version > than.version or self.last_event > than.last_event


_JOB, _EVENT = Job.__table__.c, Event.__table__.c
_MARK_COLUMNS = (
    *(_JOB.id, _JOB.project_id, _JOB.version, _JOB.state, _JOB.last_event, _JOB.created_at, _JOB.started_at),
    *(_JOB.steps_sent, _JOB.steps_done),
)
_EVENT_COLUMNS = (_EVENT.job_id, _EVENT.seq, _EVENT.attempt, _EVENT.type, _EVENT.data, _EVENT.at)


def mark_of(job: Job) -> Mark:
    """Reduce a whole row."""
    told = (job.version, job.state, job.last_event, job.created_at, job.started_at, job.steps_sent, job.steps_done)
    return Mark(job.id, job.project_id, *told)


def marks(session: Session, ids: Collection[str]) -> dict[str, Mark]:
    """Read how far some jobs have changed, of whatever project; what is not there is left out."""
    name = session.get_bind().dialect.name
    asked = {"ids": list(ids) if name == POSTGRES else json.dumps(list(ids))}
    return {row[0]: Mark(*row) for row in session.connection().execute(_MARKS[name], asked)}


def jobs(session: Session, ids: Collection[str]) -> dict[str, Job]:
    """Read some jobs whole; what is not there is left out."""
    return {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)))}


def events(session: Session, places: Collection[Place]) -> Mapping[Place, list[Row[Any]]]:
    """Read on from some places, at most a page each; numbers have no gap, so that a range is a page."""
    page = max(1, min(MOST_OF_ONE_JOB, MOST_EVENTS // max(1, len(places))))
    found: dict[Place, list[Row[Any]]] = {place: [] for place in places}
    name = session.get_bind().dialect.name
    asked = _lists(places) if name == POSTGRES else {"pairs": json.dumps(list(places))}
    for row in session.connection().execute(_EVENTS[name], asked | {"page": page}):
        found[row.job_id, row.after].append(row)
    return found


def _lists(places: Collection[Place]) -> dict[str, Any]:
    return {"ids": [job_id for job_id, _ in places], "afters": [after for _, after in places]}


def _mark_query(among: str) -> TextClause:
    names = ", ".join(map(str, _MARK_COLUMNS))
    return text(f"SELECT {names} FROM jobs WHERE id {among}")  # noqa: S608 - our own words


def _event_query(wanted: str) -> TextClause:
    names = ", ".join(map(str, _EVENT_COLUMNS))
    return text(
        f"SELECT wanted.after, {names} FROM {wanted} "  # noqa: S608 - our own words
        "CROSS JOIN events WHERE events.job_id = wanted.job_id AND events.seq > wanted.after "
        "AND events.seq <= wanted.after + CAST(:page AS bigint) ORDER BY events.job_id, events.seq"
    )


_MARKS = {name: _mark_query(among).columns(*_MARK_COLUMNS) for name, among in AMONG.items()}
_EVENTS = {
    name: _event_query(wanted).columns(column("after", BigInteger), *_EVENT_COLUMNS) for name, wanted in WANTED.items()
}
