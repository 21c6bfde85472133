"""What tests of several packages share."""

import pytest

from core.database import migrate
from core.unit import reading
from tests.trainyard.yards import UpCommand


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A migrated SQLite file, made once and copied by each test."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a yard that the tests of a module share."""
    up = UpCommand(tmp_path_factory.mktemp("yard") / "yard")
    yield up.url
    up.end()


@pytest.fixture
def look(sessions):
    """Read rows as they are now."""

    def look(query):
        with reading(sessions) as session:
            return session.scalars(query).all()

    return look
