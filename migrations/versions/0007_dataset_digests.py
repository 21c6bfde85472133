"""Datasets are found by what their files hold."""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add an index."""
    op.create_index("ix_datasets_sha256", "datasets", ["project_id", "sha256", "created_at", "id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_datasets_sha256", table_name="datasets")
