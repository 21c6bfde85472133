"""The client of a training service: what a person imports and types."""

from trainyard.errors import Refused, TrainyardError, Unreachable
from trainyard.http import Client

__all__ = ["Client", "Refused", "TrainyardError", "Unreachable"]
