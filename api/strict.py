"""JSON as it should be: nothing twice, nothing infinite, nothing bottomless, nothing unknown."""

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from core.errors import BadRequest, PayloadTooLarge, Unprocessable, UnsupportedFormat

#: Beyond 64 bits a whole number is a mistake, or a trap for whatever reads it next.
MAX_INTEGER = 2**63

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Strict(BaseModel):
    """A schema that takes no field it does not know, and no "7" for a 7."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Twice(dict[str, Any]):
    """An object in which a key came twice; `key` is the key."""

    key: str


def loads(content: bytes, max_depth: int) -> Any:
    """Read JSON strictly.

    Raises:
        BadRequest: It is not JSON, or it holds something that JSON allows and no reader expects.
    """
    try:
        value = json.loads(content.decode(), object_pairs_hook=_object)
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: byte {error.start} cannot be read.") from error
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from error
    except ValueError as error:
        raise BadRequest("The body holds a number with too many digits.") from error
    for pointer, fault in _faults(value, max_depth):
        raise BadRequest(fault, errors=[{"pointer": pointer, "detail": fault}])
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    seen: set[str] = set()
    doubled = Twice(plain)
    doubled.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


def _faults(value: Any, max_depth: int) -> Iterator[tuple[str, str]]:
    stack: list[tuple[Any, str, int]] = [(value, "", 0)]
    while stack:
        item, where, depth = stack.pop()
        if fault := _fault(item, depth, max_depth):
            yield where, fault
        if isinstance(item, dict):
            for key, inner in item.items():
                if fault := _text_fault(key):
                    yield where, fault
                stack.append((inner, f"{where}/{_escaped(key)}", depth + 1))
        elif isinstance(item, list):
            stack.extend((inner, f"{where}/{index}", depth + 1) for index, inner in enumerate(item))


def _fault(item: Any, depth: int, max_depth: int) -> str | None:
    if isinstance(item, str):
        return _text_fault(item)
    if isinstance(item, bool) or item is None:
        return None
    if isinstance(item, float):
        return None if abs(item) < float("inf") else "NaN and infinities are no JSON numbers; send a finite one."
    if isinstance(item, int):
        return None if -MAX_INTEGER <= item < MAX_INTEGER else "Whole numbers must fit into 64 bits."
    if depth > max_depth:
        return f"The body is nested more than {max_depth} levels deep."
    return f"The key {item.key[:80]!r} is there twice; send it once." if isinstance(item, Twice) else None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "Text may not hold the character U+0000."
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "Text may not hold half of a surrogate pair."
    return None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


class StrictRequest(Request):
    """A request whose JSON is read by `loads`, and whose body has an end."""

    async def body(self) -> bytes:
        """Read the body.

        Raises:
            PayloadTooLarge: It is larger than the gateway takes, whatever its headers say.
        """
        if not hasattr(self, "_whole"):
            limit: int = self.app.state.wiring.settings.max_body_bytes
            own: int | None = getattr(self.scope.get("route"), "max_bytes", None)
            self._whole = await read_body(self, limit if own is None else min(limit, own))
        return self._whole

    async def json(self) -> Any:
        """Read the body as JSON."""
        if not hasattr(self, "_value"):
            self._value = loads(await self.body(), self.app.state.wiring.settings.max_json_depth)
        return self._value


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes.

    Raises:
        PayloadTooLarge: There are more.
    """
    check_length(request, limit)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise too_large(limit)
    return bytes(content)


def check_length(request: Request, limit: int) -> None:
    """Refuse a body by its declared length, before a byte of it is read.

    Raises:
        PayloadTooLarge: It declares too many bytes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise too_large(limit)


def too_large(limit: int) -> PayloadTooLarge:
    """Say how much is taken."""
    return PayloadTooLarge(f"The body may have {limit:,} bytes; send large data with POST /v1/datasets.")


class StrictRoute(APIRoute):
    """A route that reads its JSON strictly and knows all of its query parameters."""

    #: How large its bodies may be, where less is taken than elsewhere.
    max_bytes: int | None = None

    def get_route_handler(self) -> Handler:
        """Put the strict reading before FastAPI's own."""
        handler = super().get_route_handler()
        known = set(_parameters(self.dependant))
        reads_json = self.body_field is not None
        needs_json = self.body_field is not None and self.body_field.field_info.is_required()

        async def handle(request: Request) -> Response:
            _check_query(request, known)
            if reads_json:
                request = StrictRequest(request.scope, request.receive)
                if needs_json or await request.body():
                    _check_type(request)
                    await request.json()
            return await handler(request)

        return handle


class JsonRoute(StrictRoute):
    """A route for JSON alone: the same path takes other bodies by the route after it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Let a body of another type pass by."""
        match, inner = super().matches(scope)
        passes = match is Match.FULL and not is_json(Headers(scope=scope).get("content-type", ""))
        return (Match.NONE, {}) if passes else (match, inner)


def _parameters(dependant: Dependant) -> Iterator[str]:
    """List the query parameters of a route and of all it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def _check_query(request: Request, known: set[str]) -> None:
    for name in request.query_params:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            fault = f"There is no query parameter {name[:80]!r} here; there is {names}."
            raise Unprocessable(fault, errors=[{"parameter": name[:80], "detail": fault}])


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "")
    if not is_json(kind):
        raise UnsupportedFormat(f"The body is of type {kind[:80] or 'unknown'!r}; send application/json.")


def is_json(content_type: str) -> bool:
    """Say whether a Content-Type means JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
