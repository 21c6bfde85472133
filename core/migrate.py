"""Brings the database of `TRAINYARD_DATABASE_URL` up to date: `python -m core.migrate`, once for each release."""

from core.database import migrate
from core.settings import get_settings

if __name__ == "__main__":
    migrate(get_settings().database_url)
