"""Lists are cut where the last page ended, so that a row added meanwhile moves nothing."""

from collections.abc import Sequence
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
    """Fetch one page of a query that has all its filters.

    Args:
        session: Where from.
        query: What is listed.
        table: Gives the order: `created_at`, and `id` or, of a table of jobs' labels, `job_id`.
        size: Rows on a page.
        after: Where the page before ended.
    """
    row_id = table.job_id if hasattr(table, "job_id") else table.id
    if after:
        last = tuple_(literal(after.created_at, Timestamp()), literal(after.id))
        query = query.where(tuple_(table.created_at, row_id) < last)
    query = query.order_by(table.created_at.desc(), row_id.desc()).limit(size + 1)
    return _page(list(session.scalars(query)), size)


def merged(pages: Sequence[Page[T]], size: int) -> Page[T]:
    """Make one page of several that begin at the same place and have no row in common."""
    if len(pages) == 1:
        return pages[0]
    rows: list[Any] = [row for page in pages for row in page.items]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    if len(rows) == size and any(page.next for page in pages):
        return Page(rows, _end(rows))
    return _page(rows, size)


def _page(rows: list[Any], size: int) -> Page[Any]:
    return Page(rows[:size], _end(rows[:size]) if len(rows) > size else None)


def _end(rows: list[Any]) -> Cursor:
    return Cursor(rows[-1].created_at, rows[-1].id)
