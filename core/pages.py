"""Lists are cut where the last page ended, so that a row added meanwhile moves nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import Session

from core.database import Timestamp

T = TypeVar("T")


@dataclass(frozen=True)
class Cursor:
    """The last row of a page."""

    created_at: datetime
    id: str


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows, newest first, and where the next ones begin, if there are more."""

    items: list[T]
    next: Cursor | None


def cut(session: Session, query: Select[T], table: Any, size: int, after: Cursor | None) -> Page[T]:
    """Fetch one page of a query that has all its filters."""
    if after:
        last = tuple_(literal(after.created_at, Timestamp()), literal(after.id))
        query = query.where(tuple_(table.created_at, table.id) < last)
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(size + 1)
    rows: list[Any] = list(session.scalars(query))
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, Cursor(rows[-1].created_at, rows[-1].id) if more else None)
