"""Every refusal as `application/problem+json` (RFC 9457), and never a word about our insides."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.blobs import StorageFailed
from core.columns import finite
from core.errors import ServiceError, Unavailable
from engine.errors import EngineError, pointer

log = logging.getLogger(__name__)

#: Pydantic's words, where ours say better what to do.
WORDS = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field here; check its spelling.",
}


class Problem(JSONResponse):
    """A problem, by its own media type."""

    media_type = "application/problem+json"


def problem(
    request: Request,
    type: str,
    title: str,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    **extra: object,
) -> Problem:
    """Write a problem down."""
    request_id = getattr(request.state, "request_id", None)
    body: dict[str, Any] = {
        "type": f"/problems/{type}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": request_id,
    }
    content = finite(body | {name: value for name, value in extra.items() if name not in body})
    with_id = {"X-Request-Id": request_id} if request_id else {}
    return Problem(content, status_code=status, headers=with_id | (headers or {}))


def refused(request: Request, error: Exception) -> Problem:
    """Answer for the service."""
    if not isinstance(error, ServiceError):
        return broken(request, error)
    return problem(request, error.type, error.title, error.status, error.detail, dict(error.headers), **error.extra)


def untrainable(request: Request, error: Exception) -> Problem:
    """Answer for the engine: the definition is wrong, and here is where."""
    if not isinstance(error, EngineError):
        return broken(request, error)
    errors = [{"pointer": error.where, "detail": str(error)}]
    return problem(request, "bad-definition", "The definition is wrong", 422, str(error), errors=errors)


def invalid(request: Request, error: Exception) -> Problem:
    """Answer for a body or a parameter that does not have the right form."""
    if not isinstance(error, RequestValidationError):
        return broken(request, error)
    errors = [_fault(fault) for fault in error.errors()]
    first = errors[0]
    place = first.get("pointer") or first.get("parameter") or "the body"
    return problem(request, "invalid", "The request is wrong", 422, f"{place}: {first['detail']}", errors=errors)


def _fault(fault: dict[str, Any]) -> dict[str, str]:
    where, *rest = fault["loc"]
    detail = WORDS.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
    if where == "body":
        rest = [part for part in rest if part != "[key]"]
        return {"pointer": pointer(*rest), "detail": detail}
    return {"parameter": str(rest[0]) if rest else str(where), "detail": detail}


def unrouted(request: Request, error: Exception) -> Problem:
    """Answer for a path or a method that does not exist."""
    if not isinstance(error, HTTPException):
        return broken(request, error)
    title = HTTPStatus(error.status_code).phrase
    type = title.lower().replace(" ", "-")
    headers = dict(error.headers or {})
    detail = f"{title}: {request.method} {request.url.path}"
    return problem(request, type, title, error.status_code, detail, headers)


def broken(request: Request, error: Exception) -> Problem:
    """Answer for us: the log has the cause, the caller has the id to ask for it by."""
    request_id = getattr(request.state, "request_id", None)
    log.error("request %s failed", request_id, exc_info=error, extra={"request_id": request_id})
    detail = "This is our fault, not yours. Quote the request_id when you report it."
    return problem(request, "internal", "Something went wrong", 500, detail)


def unstored(request: Request, error: Exception) -> Problem:
    """Answer for a storage that does not: the caller may try again."""
    log.error("storage failed on request %s", getattr(request.state, "request_id", None), exc_info=error)
    return refused(request, Unavailable("The object storage does not answer just now; try again."))


def unreachable(request: Request, error: Exception) -> Problem:
    """Answer for a database that is away or has no connection left: the caller may try again."""
    log.error("the database failed on request %s", getattr(request.state, "request_id", None), exc_info=error)
    return refused(request, Unavailable("The database does not answer just now; try again."))


def gone(request: Request, error: Exception) -> Problem:
    """Answer a client that hung up in mid-body: nobody hears it, and it is no fault of ours."""
    return problem(request, "bad-request", "The request breaks off", 400, "The body ended before it was whole.")


HANDLERS: dict[type[Exception], Callable[[Request, Exception], Problem]] = {
    ServiceError: refused,
    EngineError: untrainable,
    RequestValidationError: invalid,
    HTTPException: unrouted,
    ClientDisconnect: gone,
    StorageFailed: unstored,
    OperationalError: unreachable,
    InterfaceError: unreachable,
    TimeoutError: unreachable,
    Exception: broken,
}


def answer_with_problems(app: FastAPI) -> None:
    """Let no error leave in another form."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)


def problem_of(request: Request, error: Exception) -> Problem:
    """Answer for whatever it is, as the framework would by the same table."""
    handler = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)
    return handler(request, error)
