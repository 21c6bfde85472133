"""Spans of what a request costs beside the framework: queries and bells. Where nobody records, next to nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, ExceptionContext

_tracer = trace.get_tracer("trainyard")
#: Where a query's span is kept until the query ends.
_KEPT = "_trainyard_span"


def follow(engine: Engine) -> None:
    """Make a span of every query that is asked in a recorded request; never of what it is asked with."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


@contextmanager
def ringing(task: str, queue: str, job_id: str) -> Iterator[dict[str, str]]:
    """Make a span of a message; yield the headers by which who hears it can go on with the trace."""
    attributes = {"messaging.system": "celery", "messaging.destination.name": queue, "trainyard.job.id": job_id}
    with _tracer.start_as_current_span(f"send {task}", kind=SpanKind.PRODUCER, attributes=attributes):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        yield headers


def _begin(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    if not trace.get_current_span().is_recording():
        return
    operation = statement.split(None, 1)[0].upper()
    attributes = {
        "db.system.name": connection.dialect.name,
        "db.operation.name": operation,
        "db.query.text": statement,
    }
    setattr(context, _KEPT, _tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes))


def _end(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    if (span := _kept(context)) is not None:
        span.end()


def _fail(failure: ExceptionContext) -> None:
    if (span := _kept(failure.execution_context)) is not None:
        span.set_attribute("error.type", type(failure.original_exception).__qualname__)
        span.set_status(StatusCode.ERROR)
        span.end()


def _kept(context: Any) -> Span | None:
    span: Span | None = getattr(context, _KEPT, None)
    return span
