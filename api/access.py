"""Who may come in: a key opens a project; without any key, only this very machine is let in."""

import ipaddress
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from sqlalchemy.orm import Session
from starlette.types import Scope

from api.watching.watch import Watch
from core.errors import Forbidden, ServiceError, Unauthenticated
from core.ids import DEFAULT_PROJECT
from core.keys import Keys

SCHEME = "bearer "
#: For how long those who watch are let in without asking the database again: a key revoked closes that late.
REMEMBER_SECONDS = 1.0
#: Callers remembered; they differ by key and by the name that they call us by.
MOST_KNOWN = 1_024


@dataclass(frozen=True, slots=True)
class Caller:
    """What of a request says who sends it."""

    authorization: str
    #: The address that it was sent to, as the caller wrote it.
    host: str
    fetch_site: str
    #: The socket's own address, which is true even where a server was started past our settings.
    server: str | None

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Read a request's headers, the first of each name."""
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _HEADERS:
                found.setdefault(name, value)
        server = scope.get("server")
        address = server[0] if server and server[1] is not None else None
        host = found[b"host"].decode("latin-1") if b"host" in found else address or ""
        sent, site = found.get(b"authorization", b""), found.get(b"sec-fetch-site", b"")
        return cls(sent.decode("latin-1"), host, site.decode("latin-1"), address)


_HEADERS = frozenset((b"authorization", b"host", b"sec-fetch-site"))


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine alone."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def project_of(caller: Caller, session: Session, host: str) -> str:
    """Say whose request this is.

    Args:
        caller: Who sent it.
        session: Where the keys are.
        host: What the gateway was told to listen on.

    Raises:
        Unauthenticated: It has no valid key and needs one.
        Forbidden: It has none, needs none, and yet comes from a stranger's web page.
    """
    keys, sent = Keys(session), caller.authorization
    if sent:
        project = keys.project_of(sent[len(SCHEME) :].strip()) if sent.lower().startswith(SCHEME) else None
        if project is None:
            raise Unauthenticated("The API key is not valid; send `Authorization: Bearer ty_…` with one that is.")
        return project
    if not is_loopback(host) or not _is_local(caller) or keys.any():
        raise Unauthenticated("Send `Authorization: Bearer ty_…`; `trainyard keys create` makes a key.")
    _refuse_foreign_pages(caller)
    return DEFAULT_PROJECT


def _is_local(caller: Caller) -> bool:
    return caller.server is None or is_loopback(caller.server)


def _refuse_foreign_pages(caller: Caller) -> None:
    # A web page elsewhere can make a browser on this machine send requests here.
    if not is_loopback(_name(caller.host)) or caller.fetch_site == "cross-site":
        raise Forbidden("Without API keys the gateway answers only requests made to this machine by name.")


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class Doors:
    """Lets in those who watch; who was let in a moment ago is let in again without a query.

    Args:
        watch: Shares the query among those who come at the same time.
        host: What the gateway was told to listen on.
    """

    def __init__(self, watch: Watch, host: str) -> None:
        self._host = host
        self._asking = watch.shared(self._read)
        self._known: dict[Caller, tuple[str, float]] = {}

    async def project_of(self, caller: Caller) -> str:
        """Say whose request this is, as it was at most a second ago.

        Raises:
            Unauthenticated: It has no valid key and needs one.
            Forbidden: It has none, needs none, and yet comes from a stranger's web page.
        """
        now = time.monotonic()
        project, until = self._known.get(caller, ("", 0.0))
        if now < until:
            return project
        answer = await self._asking.one(caller)
        if isinstance(answer, ServiceError):
            self._known.pop(caller, None)
            # A fault is raised by each who hears it, and one object would collect all their traces.
            raise type(answer)(answer.detail, **answer.extra)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[caller] = (str(answer), now + REMEMBER_SECONDS)
        return str(answer)

    def _read(self, session: Session, callers: Collection[Caller]) -> Mapping[Caller, str | ServiceError]:
        return {caller: self._ask(session, caller) for caller in callers}

    def _ask(self, session: Session, caller: Caller) -> str | ServiceError:
        try:
            return project_of(caller, session, self._host)
        except ServiceError as error:
            return error
