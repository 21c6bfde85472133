"""How far the predictions of a file made for another program are from ours."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add a column to artifacts."""
    op.add_column("artifacts", sa.Column("max_difference", sa.Double(), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("artifacts", "max_difference")
