"""POST, made safe to send again: `Idempotency-Key`."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse

from api.wiring import ProjectDep, Wiring, WiringDep
from core.errors import BadRequest
from core.idempotency import Ask, Stored, complete, release, reserve
from core.unit import Unit, unit_of_work

KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')


@dataclass(frozen=True)
class Answer:
    """What a POST says when it worked."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, **headers: str) -> JSONResponse:
        """Put it on the wire."""
        return JSONResponse(self.body, self.status, self.headers | headers)


class Once:
    """One POST, which does its work once however often it is sent."""

    def __init__(self, wiring: Wiring, project_id: str, route: str, path: str, key: str | None) -> None:
        self.wiring = wiring
        self.project_id = project_id
        self.route = route
        self.path = path
        self.key = key

    def do(self, asked: Any, work: Callable[[Unit], Answer]) -> JSONResponse:
        """Do the work and keep the answer in one transaction, or give the answer of the first time.

        `work` should prepare whatever takes time before its first query: from then on it holds a lock.

        Args:
            asked: All that the caller sent, to tell another request with the same key by.
            work: What is to be done.

        Raises:
            KeyReused: The key came with something else before.
            KeyInFlight: The first request is not answered yet.
        """
        return self._once(asked, lambda ask, token: self._in_one_unit(ask, token, work))

    def do_outside(self, asked: Any, work: Callable[[], Answer]) -> JSONResponse:
        """Like `do`, for work that takes long and opens transactions of its own."""
        return self._once(asked, lambda ask, token: self._in_its_own(ask, token, work))

    def _once(self, asked: Any, work: Callable[[Ask | None, str], Answer]) -> JSONResponse:
        if self.key is None:
            return work(None, "").response()
        ask = Ask(project_id=self.project_id, route=self.route, key=self.key, fingerprint=_print(self.path, asked))
        settings = self.wiring.settings
        with self._unit() as unit:
            got = reserve(unit.session, ask, settings.idempotency_reserve_seconds, settings.idempotency_keep_seconds)
        if isinstance(got, Stored):
            return Answer(got.status, got.body, got.headers).response(**{"Idempotency-Replayed": "true"})
        try:
            return work(ask, got).response()
        except BaseException:
            with self._unit() as unit:
                release(unit.session, ask, got)
            raise

    def _in_one_unit(self, ask: Ask | None, token: str, work: Callable[[Unit], Answer]) -> Answer:
        with self._unit() as unit:
            answer = work(unit)
            _complete(unit, ask, token, answer)
        return answer

    def _in_its_own(self, ask: Ask | None, token: str, work: Callable[[], Answer]) -> Answer:
        answer = work()
        with self._unit() as unit:
            _complete(unit, ask, token, answer)
        return answer

    def _unit(self) -> Any:
        return unit_of_work(self.wiring.sessions, self.wiring.queue)


def _complete(unit: Unit, ask: Ask | None, token: str, answer: Answer) -> None:
    if ask:
        stored = Stored(status=answer.status, headers=answer.headers, body=answer.body)
        complete(unit.session, ask, token, stored)


def _print(path: str, asked: Any) -> str:
    content = json.dumps([path, asked], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


async def once(
    request: Request,
    wiring: WiringDep,
    project_id: ProjectDep,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Once:
    """Read the key.

    Raises:
        BadRequest: It is no key.
    """
    found = KEY.fullmatch(idempotency_key) if idempotency_key is not None else None
    if idempotency_key is not None and found is None:
        raise BadRequest("An Idempotency-Key has 1 to 255 visible ASCII characters, such as a UUID.")
    route = f"{request.method} {getattr(request.scope.get('route'), 'path', request.url.path)}"
    return Once(wiring, project_id, route, request.url.path, found[1] if found else None)


OnceDep = Annotated[Once, Depends(once)]
