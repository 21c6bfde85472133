"""What is noted of every request: its id, how it ended, how long it took."""

import re
import time
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.ids import new_id

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Meters:
    """The numbers an operator watches; each gateway has its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("trainyard_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "trainyard_request_seconds", "Time to answer", ["method", "route"], registry=self.registry
        )
        self.jobs = Gauge("trainyard_jobs", "Jobs that have not ended", ["state"], registry=self.registry)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def render(self, jobs: dict[str, int]) -> tuple[bytes, str]:
        """Write everything down, with the jobs as they are now."""
        for state, count in jobs.items():
            self.jobs.labels(state).set(count)
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Observer:
    """Gives every request an id and counts it."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with an eye on its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        seen, started = {"status": 500}, time.perf_counter()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                _add_id(message, request_id)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            self.meters.note(_method(scope), _route(scope), seen["status"], seconds)


def _request_id(scope: Scope) -> str:
    given: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else new_id("req")


def _add_id(message: MutableMapping[str, Any], request_id: str) -> None:
    headers = [pair for pair in message.get("headers", []) if pair[0] != b"x-request-id"]
    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return scope["method"] if scope["method"] in known else "OTHER"


def _route(scope: Scope) -> str:
    # The template, not the path: ids in labels would grow without end.
    return getattr(scope.get("route"), "path", "unmatched")
