"""Runs the gateway: `python -m api.main`, or `uvicorn api.main:create_app --factory`."""

import gc
import socket
import sys

import uvicorn

from api.access import is_loopback
from api.app import create_app
from api.watching.watch import Watch
from core.database import open_sessions
from core.keys import Keys
from core.logs import set_up_logging
from core.settings import Settings, get_settings
from core.unit import reading

#: How long callers who wait for a prediction may keep a gateway that was told to stop.
SHUTDOWN_SECONDS = 10
#: The exit code of a gateway that could not listen.
STARTUP_FAILURE = 3

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
        "make one with `trainyard keys create --name NAME`, or listen on 127.0.0.1."
    )


class Gateway(uvicorn.Server):
    """The server; told to stop, it sends home whoever waits for a change."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self._watch: Watch = app.state.wiring.watch
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level,
            log_config=None,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            # `api.observing` tells of what is slow or fails; /metrics counts the rest.
            access_log=False,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; streams and long polls would otherwise last until they are cut off."""
        self._watch.close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    settings = get_settings()
    if reason := refusal(settings):
        sys.exit(reason)
    set_up_logging(settings, ["api", "core", "engine", "uvicorn"])
    gateway = Gateway(settings)
    # What was made by now stays: to search it for garbage took an eighth of a poll, and a tenth of a second at times.
    gc.freeze()
    gateway.run()
    if not gateway.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
