"""A request that is sent twice is answered twice and done once."""

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.database import db_now
from core.errors import KeyInFlight, KeyReused
from core.tables import Idempotency


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What identifies a request: who asked where, under which key, for what."""

    project_id: str
    route: str
    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The answer that was given the first time."""

    status: int
    headers: dict[str, str]
    body: Any


def reserve(session: Session, ask: Ask, hold_seconds: float, keep_seconds: float) -> str | Stored:
    """Take the key, and return the token to complete it with; or return the answer it already has.

    Raises:
        KeyReused: The key came with another body before.
        KeyInFlight: The first request is not answered yet.
    """
    token = secrets.token_hex(16)
    if _insert(session, ask, token, hold_seconds):
        return token
    row = session.scalars(select(Idempotency).where(*_is(ask)).with_for_update()).one()
    now = session.scalars(select(db_now())).one()
    if row.created_at.timestamp() + keep_seconds < now.timestamp():
        session.delete(row)
        session.flush()
        return reserve(session, ask, hold_seconds, keep_seconds)
    if row.fingerprint != ask.fingerprint:
        raise KeyReused(
            f"The Idempotency-Key {ask.key!r} was sent before with another body; use a new key for a new request."
        )
    if row.status is not None:
        return Stored(status=row.status, headers=row.headers or {}, body=(row.body or {}).get("content"))
    if row.reserved_until and row.reserved_until > now:
        raise KeyInFlight(f"The first request with the Idempotency-Key {ask.key!r} is still running; try again.")
    row.token, row.reserved_until = token, db_now(hold_seconds)
    return token


def complete(session: Session, ask: Ask, token: str, stored: Stored) -> None:
    """Keep the answer, in the transaction that did the work.

    Raises:
        KeyInFlight: This request took so long that another has taken its place: roll back.
    """
    query = (
        update(Idempotency)
        .where(*_is(ask), Idempotency.token == token, Idempotency.status.is_(None))
        .values(status=stored.status, headers=stored.headers, body={"content": stored.body}, reserved_until=None)
        .returning(Idempotency.key)
    )
    if session.scalar(query) is None:
        raise KeyInFlight(f"Another request with the Idempotency-Key {ask.key!r} has taken over; ask for its answer.")


def release(session: Session, ask: Ask, token: str) -> None:
    """Give the key back after a refusal, so that the corrected request may carry it."""
    session.execute(delete(Idempotency).where(*_is(ask), Idempotency.token == token, Idempotency.status.is_(None)))


def forget(session: Session, keep_seconds: float) -> int:
    """Drop answers nobody will ask for again; return how many."""
    old = Idempotency.created_at < db_now(-keep_seconds)
    count = session.scalar(select(func.count()).select_from(Idempotency).where(old)) or 0
    session.execute(delete(Idempotency).where(old).execution_options(synchronize_session=False))
    return count


def _is(ask: Ask) -> tuple[Any, ...]:
    return (
        Idempotency.project_id == ask.project_id,
        Idempotency.route == ask.route,
        Idempotency.key == ask.key,
    )


def _insert(session: Session, ask: Ask, token: str, hold_seconds: float) -> bool:
    """Insert the row, or wait for whoever is just inserting it; say whether it was us."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    query = insert(Idempotency).values(
        project_id=ask.project_id,
        route=ask.route,
        key=ask.key,
        fingerprint=ask.fingerprint,
        token=token,
        reserved_until=db_now(hold_seconds),
    )
    return session.scalar(query.on_conflict_do_nothing().returning(Idempotency.key)) is not None
