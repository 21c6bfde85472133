"""The client of a training service: what a person imports and types.

Models are built and trained in Keras 1's words (`trainyard.models`, `.layers`, `.optimizers`, `.backend`, …);
`Client` and `AsyncClient` speak REST.
"""

from trainyard.errors import Refused, TrainyardError, Unreachable
from trainyard.http import AsyncClient, Client
from trainyard.session import connect

__all__ = ["AsyncClient", "Client", "Refused", "TrainyardError", "Unreachable", "connect"]
