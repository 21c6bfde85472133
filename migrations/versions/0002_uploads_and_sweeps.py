"""Uploads that do not pass through the gateway, and the sweep of what nobody points at."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Make the tables, and the one row that reapers take turns on."""
    op.create_table(
        "uploads",
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("multipart", sa.String(), nullable=True),
        sa.Column("part_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_uploads_dataset_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("dataset_id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    sweeps = op.create_table(
        "sweeps",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sweeps"),
    )
    op.bulk_insert(sweeps, [{"name": "orphans", "after": "", "due_at": datetime(2000, 1, 1, tzinfo=UTC)}])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("sweeps")
    op.drop_index("ix_uploads_expires_at", "uploads")
    op.drop_table("uploads")
