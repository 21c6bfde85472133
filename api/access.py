"""Who may come in: a key opens a project; without any key, only this very machine is let in."""

import ipaddress

from fastapi import Request
from sqlalchemy.orm import Session

from core.errors import Forbidden, Unauthenticated
from core.ids import DEFAULT_PROJECT
from core.keys import Keys

SCHEME = "bearer "


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine alone."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def project_of(request: Request, session: Session, host: str) -> str:
    """Say whose request this is.

    Args:
        request: The request.
        session: Where the keys are.
        host: What the gateway was told to listen on.

    Raises:
        Unauthenticated: It has no valid key and needs one.
        Forbidden: It has none, needs none, and yet comes from a stranger's web page.
    """
    keys, sent = Keys(session), request.headers.get("authorization", "")
    if sent:
        project = keys.project_of(sent[len(SCHEME) :].strip()) if sent.lower().startswith(SCHEME) else None
        if project is None:
            raise Unauthenticated("The API key is not valid; send `Authorization: Bearer ty_…` with one that is.")
        return project
    if not is_loopback(host) or not _is_local(request) or keys.any():
        raise Unauthenticated("Send `Authorization: Bearer ty_…`; `trainyard keys create` makes a key.")
    _refuse_foreign_pages(request)
    return DEFAULT_PROJECT


def _is_local(request: Request) -> bool:
    # The socket's own address: true even where a server was started past our settings.
    server = request.scope.get("server")
    return server is None or server[1] is None or is_loopback(server[0])


def _refuse_foreign_pages(request: Request) -> None:
    # A web page elsewhere can make a browser on this machine send requests here.
    host = request.url.hostname or ""
    if not is_loopback(host) or request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("Without API keys the gateway answers only requests made to this machine by name.")
