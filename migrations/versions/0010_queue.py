"""A place in the queue of its own: who has rested stands at the end again, so that sessions and others take turns."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Give jobs the place that they have, and the queue its order."""
    moment = sa.DateTime(timezone=True)
    # A default that stands in the table: SQLite adds no column that must have a value, and has none.
    op.add_column("jobs", sa.Column("queued_at", moment, nullable=False, server_default="1970-01-01 00:00:00+00:00"))
    op.execute("UPDATE jobs SET queued_at = created_at WHERE state NOT IN ('succeeded', 'failed', 'cancelled')")
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", "kind", "queued_at", "id"])


def downgrade() -> None:
    """Order the queue by when jobs were made."""
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", "kind", "created_at", "id"])
    op.drop_column("jobs", "queued_at")
