"""Which service the models of this program are trained by."""

import atexit

from trainyard.http import Client

_current: dict[str, Client] = {}


def connect(url: str | None = None, api_key: str | None = None) -> Client:
    """Have all models from now on trained by this service.

    Args:
        url: Where it listens; `TRAINYARD_URL`, or else the local yard.
        api_key: `ty_…`; `TRAINYARD_API_KEY`, or else none.
    """
    client = _current["client"] = Client(url, api_key)
    atexit.register(client.close)
    return client


def current() -> Client:
    """The client that `connect` made, or else one for the service that the environment names."""
    return _current.get("client") or connect()
