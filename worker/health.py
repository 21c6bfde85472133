"""`python -m worker.health`: whether a worker of this host has looked for work lately; for health checks."""

import socket
import sys

from sqlalchemy.exc import SQLAlchemyError

from core import workers
from core.database import open_sessions
from core.settings import Settings, get_settings
from core.unit import reading


def main() -> None:
    """Exit with 0 if one has, and otherwise say why not."""
    sys.exit(complaint(get_settings()))


def complaint(settings: Settings) -> str | None:
    """Say what is wrong with this host's workers; None if nothing is."""
    host, seconds = socket.gethostname(), settings.worker_alive_seconds
    try:
        with reading(open_sessions(settings.database_url)) as session:
            if workers.alive(session, host, seconds):
                return None
            last = workers.last_look(session, host)
    except SQLAlchemyError as error:
        return f"The database cannot be asked: {type(error).__name__}."
    when = f"the last one did at {last.isoformat()}" if last else "none ever did"
    return f"No worker of {host} has looked for work in the last {seconds:g} seconds; {when}."


if __name__ == "__main__":
    main()
