"""Pages: a size, and an opaque token that says where the last page ended."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from core.errors import BadPage
from core.pages import Cursor, Page

T = TypeVar("T")

MAX_PAGE = 200


def to_token(cursor: Cursor) -> str:
    """Write a cursor so that nobody is tempted to write one by hand."""
    content = json.dumps([cursor.created_at.isoformat(), cursor.id])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def from_token(token: str) -> Cursor:
    """Read what `to_token` wrote.

    Raises:
        BadPage: It did not write that.
    """
    try:
        content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        created_at, row_id = json.loads(content)
        cursor = Cursor(datetime.fromisoformat(created_at), str(row_id))
        if cursor.created_at.tzinfo is None or "\0" in cursor.id:
            raise ValueError(token)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        fault = "This page_token was not made here; take next_page_token of the page before, unchanged."
        raise BadPage(fault, errors=[{"parameter": "page_token", "detail": fault}]) from error
    return cursor


@dataclass(frozen=True)
class Wanted:
    """Which page a caller wants."""

    size: int
    after: Cursor | None


def wanted(
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    page_token: Annotated[str | None, Query(max_length=500)] = None,
) -> Wanted:
    """Read the parameters that every list takes."""
    return Wanted(page_size, from_token(page_token) if page_token else None)


PageDep = Annotated[Wanted, Depends(wanted)]


def listed(page: Page[T], show: Callable[[T], Any]) -> dict[str, Any]:
    """Write a page down."""
    token = to_token(page.next) if page.next else None
    return {"items": [show(item) for item in page.items], "next_page_token": token}
