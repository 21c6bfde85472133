"""Spans of queries: where a request is recorded, and nowhere else."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from core import tracing
from core.database import make_engine


@pytest.fixture
def tracer(monkeypatch):
    provider = TracerProvider()
    tracer = provider.get_tracer("test")
    tracer.kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(tracer.kept))
    monkeypatch.setattr(tracing, "_tracer", tracer)
    yield tracer
    provider.shutdown()


@pytest.fixture
def connection(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path}/yard.db")
    tracing.follow(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_query_is_a_part_of_the_request_that_asks_it(tracer, connection):
    connection.execute(text("SELECT 1"))
    assert tracer.kept.get_finished_spans() == ()

    with tracer.start_as_current_span("request") as request:
        connection.execute(text("SELECT :secret"), {"secret": "hunter2"})

    query, _ = tracer.kept.get_finished_spans()
    assert (query.name, query.attributes["db.query.text"]) == ("SELECT", "SELECT ?")
    assert query.parent.span_id == request.get_span_context().span_id
    assert "hunter2" not in query.to_json()


def test_a_query_that_fails_says_so(tracer, connection):
    with tracer.start_as_current_span("request"), pytest.raises(OperationalError):
        connection.execute(text("SELECT * FROM nowhere"))

    *_, query, _ = tracer.kept.get_finished_spans()
    assert (query.status.is_ok, query.attributes["error.type"]) == (False, "OperationalError")


def test_a_bell_carries_the_trace_on_and_nothing_where_there_is_none(tracer, monkeypatch):
    with tracing.ringing("ring", "queue", "job_1") as headers:
        assert headers["traceparent"].split("-")[2]
    (bell,) = tracer.kept.get_finished_spans()
    assert (bell.name, bell.attributes["trainyard.job.id"]) == ("send ring", "job_1")

    monkeypatch.undo()
    with tracing.ringing("ring", "queue", "job_1") as headers:
        assert headers == {}
