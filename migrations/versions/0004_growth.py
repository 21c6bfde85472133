"""What keeps lists, filters, claims and counts fast beside a million jobs that have ended."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BATCH = 10_000


def upgrade() -> None:
    """Add indexes, and a table by which jobs are found by their labels."""
    op.create_index("ix_jobs_state_page", "jobs", ["project_id", "kind", "state", "created_at", "id"])
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", "kind", "created_at", "id"])
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"])
    op.create_table(
        "job_labels",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_labels_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_job_labels_project_id"),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_job_labels"),
    )
    _fill()
    op.create_index("ix_job_labels_page", "job_labels", ["project_id", "key", "value", "created_at", "job_id"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_job_labels_page", "job_labels")
    op.drop_table("job_labels")
    op.drop_index("ix_attempts_ended_at", "attempts")
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", "kind", "created_at"])
    op.drop_index("ix_jobs_state_page", "jobs")


def _fill() -> None:
    last = ""
    while rows := _jobs_after(last):
        last = rows[-1]["id"]
        if found := list(_labels(rows)):
            op.bulk_insert(_NEW, found)


def _jobs_after(last: str) -> Sequence[sa.RowMapping]:
    query = sa.select(_JOBS).where(_JOBS.c.id > last).order_by(_JOBS.c.id).limit(BATCH)
    return op.get_bind().execute(query).mappings().all()


def _labels(rows: Sequence[sa.RowMapping]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for key, value in row["labels"].items():
            yield {
                "job_id": row["id"],
                "key": key,
                "value": value,
                "project_id": row["project_id"],
                "created_at": row["created_at"],
            }


_JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String()),
    sa.column("project_id", sa.String()),
    sa.column("labels", sa.JSON()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_NEW = sa.table(
    "job_labels",
    sa.column("job_id", sa.String()),
    sa.column("key", sa.String()),
    sa.column("value", sa.String()),
    sa.column("project_id", sa.String()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
