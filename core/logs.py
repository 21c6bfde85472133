"""One form of log for gateways and workers: text for people, or JSON, an object a line, for machines."""

import json
import logging
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from core.settings import Settings

#: What a line may say besides its message, where it is known.
FIELDS = ("request_id", "method", "route", "status", "milliseconds", "worker", "job_id", "attempt")

_noted: ContextVar[dict[str, Any]] = ContextVar("noted", default={})  # noqa: B039 - it is never changed in place


class noting:  # noqa: N801 -- reads as the verb it is; a generator would be twice as slow, at every request
    """Say of every line written meanwhile, in this thread or task, which request or attempt it belongs to.

    Args:
        **fields: Some of `FIELDS`.
    """

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        """Begin."""
        self._token = _noted.set(_noted.get() | self._fields)

    def __exit__(self, *fault: object) -> None:
        """Say it no more."""
        _noted.reset(self._token)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Collect what is known of a line: what its writer gave as `extra`, and what was noted around it."""
    noted = _noted.get()
    found = {name: getattr(record, name, noted.get(name)) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}


class Text(logging.Formatter):
    """`2026-01-31 12:00:00,000Z 4711 INFO worker.main: message job_id=job_…`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(process)d %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Write the time in UTC."""
        return _moment(record).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Append the fields."""
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        return super().formatMessage(record) + fields


class Json(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `process`, `message`, the fields, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the object."""
        line: dict[str, Any] = {
            "at": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def set_up_logging(settings: Settings, ours: Sequence[str]) -> None:
    """Log to standard error what the operator asked for, and of others' libraries only warnings.

    Args:
        settings: Say how much, and in which form.
        ours: The loggers that are not others'.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if settings.log_format == "json" else Text())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ours:
        logging.getLogger(name).setLevel(settings.log_level.upper())
