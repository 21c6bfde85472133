"""Runs the gateway: `python -m api.main`, or `uvicorn api.main:create_app --factory`."""

import sys

import uvicorn

from api.access import is_loopback
from api.app import create_app
from core.database import open_sessions
from core.keys import Keys
from core.settings import Settings, get_settings
from core.unit import reading

#: How long callers who wait for a prediction may keep a gateway that was told to stop.
SHUTDOWN_SECONDS = 10

__all__ = ["create_app", "main"]


def refusal(settings: Settings) -> str | None:
    """Say why the gateway must not be started so, if it must not."""
    if is_loopback(settings.host):
        return None
    with reading(open_sessions(settings.database_url)) as session:
        if Keys(session).any():
            return None
    return (
        f"TRAINYARD_HOST is {settings.host}, which others can reach, and there is no API key: "
        "make one with `trainyard keys create NAME`, or listen on 127.0.0.1."
    )


def main() -> None:
    """Serve until told to stop."""
    settings = get_settings()
    if reason := refusal(settings):
        sys.exit(reason)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        # A line for every poll of every dashboard would cost an eighth of them; /metrics counts requests.
        access_log=False,
    )


if __name__ == "__main__":
    main()
