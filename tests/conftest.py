"""What tests of several packages share."""

import pytest

from core.database import migrate
from core.unit import reading


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A migrated SQLite file, made once and copied by each test."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def look(sessions):
    """Read rows as they are now."""

    def look(query):
        with reading(sessions) as session:
            return session.scalars(query).all()

    return look
