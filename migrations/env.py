"""How Alembic reaches the database: the service's own engine, one writer at a time."""

from alembic import context
from sqlalchemy import Connection, text

from core.database import make_engine
from core.settings import get_settings
from core.tables import Base

#: Any constant: two processes that migrate at once take turns on it.
LOCK = 7_261_994


def run(connection: Connection) -> None:
    """Migrate inside one transaction, so that a failure leaves nothing half done."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Open the database that the caller or the settings name."""
    url = context.config.attributes.get("url") or get_settings().database_url
    engine = make_engine(url)
    with engine.begin() as connection:
        run(connection)
    engine.dispose()


main()
