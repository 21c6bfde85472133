"""What is noted of every request: its id, how it ended, how long it took; and the line in the log."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.meters import Meters
from core.logs import noting

log = logging.getLogger(__name__)

#: What begins the ids that this process gives; they are counted, for a random one would cost more than it is worth.
OURS, numbers = f"req_{secrets.token_hex(8)}", itertools.count(1)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
MOST_TOLD_A_SECOND = 20
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Observer:
    """Gives every request an id, counts it, and tells of it in the log where it was slow or failed.

    Args:
        app: What answers.
        meters: Where it is counted.
        slow_seconds: From when on a request is told of; one that meant to wait is not slow.
    """

    def __init__(self, app: ASGIApp, meters: Meters, slow_seconds: float) -> None:
        self.app = app
        self.meters = meters
        self.slow_seconds = slow_seconds
        self._second, self._told = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with an eye on its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status, started = 500, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_id(message, request_id)
            await send(message)

        with noting(request_id=request_id):
            try:
                await self.app(scope, receive, watched)
            finally:
                self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = _method(scope), _route(scope)
        waited = "waited" in scope["state"]
        self.meters.note(method, route, status, None if waited else seconds)
        bad = status >= 500 or (seconds > self.slow_seconds and not waited)
        level = logging.WARNING if bad else logging.DEBUG
        if log.isEnabledFor(level) and (not bad or self._may_tell()):
            job_id = scope.get("path_params", {}).get("job_id")
            fields = {"method": method, "route": route, "status": status, "job_id": job_id}
            fields["milliseconds"] = round(seconds * 1000, 1)
            log.log(level, "%s %s %d", method, route, status, extra=fields)

    def _may_tell(self) -> bool:
        # A gateway with too much to do is slow at every request, and should not write a line for each as well.
        second = int(time.monotonic())
        self._told = self._told + 1 if second == self._second else 1
        self._second = second
        return self._told <= MOST_TOLD_A_SECOND


def _request_id(scope: Scope) -> str:
    for name, given in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(given):
            return str(given, "ascii")
    return f"{OURS}{next(numbers):08x}"


def _add_id(message: MutableMapping[str, Any], request_id: str) -> None:
    headers = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
    headers.append((b"x-request-id", request_id.encode()))
    message["headers"] = headers


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "OTHER"


def _route(scope: Scope) -> str:
    # The template, not the path: ids in labels would grow without end.
    return getattr(scope.get("route"), "path", "unmatched")
