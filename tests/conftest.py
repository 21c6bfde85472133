"""What tests of several packages share."""

import pytest

from core.database import migrate


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A migrated SQLite file, made once and copied by each test."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path
