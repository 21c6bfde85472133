"""The database: one engine for SQLite and PostgreSQL, its clock, and its migrations."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import DateTime, Dialect, Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

#: Execution option of a connection that only reads: on SQLite it then never waits for a writer.
READING = "trainyard_reading"
#: A server that vanishes without a word is noticed before a lease is over, also in the middle of a statement.
_NOTICING = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, never naive, on a database that keeps time zones and on one that does not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store every moment as UTC.

        Raises:
            ValueError: The moment is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say UTC where the database could not."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class db_now(FunctionElement[datetime]):  # noqa: N801 -- reads as the SQL function it is
    """The database's own clock, the only one that leases and orders go by.

    Args:
        later: Seconds to add; negative for the past.
    """

    type = Timestamp()
    inherit_cache = True
    name = "db_now"

    def __init__(self, later: float = 0.0) -> None:
        super().__init__(float(later))


@compiles(db_now)
def _any_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLAlchemy reads the fraction as microseconds, and SQLite's %f gives three digits of it.
    seconds = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


def normal_url(url: str) -> str:
    """Choose the driver that is installed, whatever the operator's URL leaves open."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def make_engine(url: str) -> Engine:
    """Open a database; a SQLite file is made, with its folder, where there is none."""
    parsed = make_url(normal_url(url))
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=20, connect_args=_NOTICING)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": 30.0}, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, record: object) -> None:
    # The driver's own idea of when a transaction begins would let a read become a stale write.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: taken later, it could fail for a reason no retry inside cures.
    reading = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if reading else "BEGIN IMMEDIATE")


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Make the factory that every transaction is opened with."""
    return sessionmaker(engine, expire_on_commit=False)


def open_sessions(url: str) -> sessionmaker[Session]:
    """Open a database and make its factory in one step."""
    return make_sessions(make_engine(url))


def alembic_config(url: str) -> Config:
    """Describe our migrations to Alembic, for one database."""
    config = Config(str(MIGRATIONS / "alembic.ini"))
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring a database to a revision; safe to run from several processes at once."""
    command.upgrade(alembic_config(url), revision)
