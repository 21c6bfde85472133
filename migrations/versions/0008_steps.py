"""Sessions: jobs that do steps as they are sent."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add the steps, and to jobs how many were sent and are done."""
    for name in ("steps_sent", "steps_done"):
        op.add_column("jobs", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "steps",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("content_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_steps_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_steps"),
    )


def downgrade() -> None:
    """End the sessions, in which an older worker would find nothing to do, and take their steps away."""
    op.execute(
        "UPDATE jobs SET state = 'cancelled', reason = 'no_sessions', finished_at = updated_at, version = version + 1 "
        "WHERE state NOT IN ('succeeded', 'failed', 'cancelled') AND id IN (SELECT job_id FROM steps)"
    )
    op.drop_table("steps")
    for name in ("steps_done", "steps_sent"):
        op.drop_column("jobs", name)
