"""Weights files that are announced and do not pass through the gateway."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Say of weights whether their file has come; that of all there are has."""
    op.add_column("weights", sa.Column("name", sa.String(), nullable=True))
    op.add_column("weights", sa.Column("state", sa.String(), nullable=False, server_default="ready"))
    op.create_table(
        "weights_uploads",
        sa.Column("weights_id", sa.String(), nullable=False),
        sa.Column("multipart", sa.String(), nullable=True),
        sa.Column("part_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["weights_id"], ["weights.id"], name="fk_weights_uploads_weights_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("weights_id", name="pk_weights_uploads"),
    )
    op.create_index("ix_weights_uploads_expires_at", "weights_uploads", ["expires_at"])


def downgrade() -> None:
    """Forget what has not come: an older gateway would take it for ready."""
    op.drop_index("ix_weights_uploads_expires_at", "weights_uploads")
    op.drop_table("weights_uploads")
    op.execute("DELETE FROM weights WHERE state <> 'ready'")
    op.drop_column("weights", "state")
    op.drop_column("weights", "name")
