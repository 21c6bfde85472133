"""Which job starts from which uploaded weights, so that these can be deleted when no live job needs them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add the table, and fill it in for jobs that have not ended."""
    op.create_table(
        "job_weights",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("weights_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_weights_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["weights_id"], ["weights.id"], name="fk_job_weights_weights_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "weights_id", name="pk_job_weights"),
    )
    named = _JOBS.c.definition[("weights", "id")].as_string()
    live = sa.select(_JOBS.c.id, _WEIGHTS.c.id).where(_JOBS.c.finished_at.is_(None), named == _WEIGHTS.c.id)
    op.execute(sa.insert(_NEW).from_select(["job_id", "weights_id"], live))
    op.create_index("ix_job_weights_weights_id", "job_weights", ["weights_id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_job_weights_weights_id", table_name="job_weights")
    op.drop_table("job_weights")


_JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String()),
    sa.column("definition", sa.JSON()),
    sa.column("finished_at", sa.DateTime(timezone=True)),
)
_WEIGHTS = sa.table("weights", sa.column("id", sa.String()))
_NEW = sa.table("job_weights", sa.column("job_id", sa.String()), sa.column("weights_id", sa.String()))
