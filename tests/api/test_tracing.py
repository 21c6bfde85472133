"""Telemetry is on where somebody listens, and costs nothing where nobody does."""

import gzip
import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.tracing import ENDPOINT, telemetry
from tests.api.processes import DEADLINE_SECONDS, until


@pytest.mark.parametrize(
    ("endpoint", "sdk", "on"),
    [("", True, False), ("http://127.0.0.1:4318", False, False), ("http://127.0.0.1:4318", True, True)],
)
def test_telemetry_needs_an_endpoint_and_a_kit(endpoint, sdk, on, monkeypatch):
    monkeypatch.setenv(ENDPOINT, endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setattr("api.tracing.find_spec", lambda name: sdk or None)
    asked = telemetry()
    assert (asked["tracing"], asked["metrics"], asked["auto_configure"]) == (on, on, on)


def test_without_an_endpoint_a_request_does_not_ask_for_listeners(client):
    assert client.app._native_telemetry.enabled() is False


@pytest.fixture
def collector():
    """Receive spans as a collector does, over HTTP and in protobuf."""
    spans = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            if self.path == "/v1/traces":
                spans.extend(received(ExportTraceServiceRequest.FromString(content)))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
        thread.join()


def received(export):
    for resource in export.resource_spans:
        told = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield told["service.name"], span


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MODEL = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"output_dim": 1, "input_dim": 1}}]}


@pytest.fixture
def traced(start):
    """Start a gateway that sends its spans to an address."""

    def traced(endpoint):
        return start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="50", OTEL_METRICS_EXPORTER="none")

    return traced


def attributes(span):
    return {each.key: each.value.string_value for each in span.attributes}


def test_a_request_is_traced_with_its_queries_and_its_bell(traced, collector, tmp_path):
    endpoint, spans = collector
    process, client, _ = traced(endpoint)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    body = {"model": MODEL, "predict": {"x": [[1]]}, "name": "secret-name"}

    job = client.post("/v1/jobs", json=body, headers=headers).raise_for_status().json()["id"]

    until(lambda: any(span.name == "POST /v1/jobs" for _, span in spans), process)
    assert {service for service, _ in spans} == {"trainyard-gateway"}
    ours = [span for _, span in spans if span.trace_id.hex() == TRACE]
    (request,) = [span for span in ours if span.kind == Span.SPAN_KIND_SERVER]
    assert request.parent_span_id.hex() == PARENT
    assert attributes(request)["http.route"] == "/v1/jobs"

    queries = [span for span in ours if span.kind == Span.SPAN_KIND_CLIENT]
    (insert,) = [span for span in queries if "INSERT INTO jobs " in attributes(span)["db.query.text"]]
    assert (insert.name, attributes(insert)["db.system.name"]) == ("INSERT", "sqlite")
    assert request.start_time_unix_nano < insert.start_time_unix_nano < insert.end_time_unix_nano
    assert all("secret-name" not in str(span) for span in ours), "what was asked with is nobody's business"

    (bell,) = [span for span in ours if span.kind == Span.SPAN_KIND_PRODUCER]
    assert (bell.name, attributes(bell)["trainyard.job.id"]) == ("send trainyard.ring", job)
    (message,) = (tmp_path / "broker" / "messages").iterdir()
    told = json.loads(message.read_bytes())["headers"]["traceparent"]
    assert told == f"00-{TRACE}-{bell.span_id.hex()}-01", "who hears the bell can go on with the trace"


def test_a_poll_is_traced_by_its_route(traced, collector):
    endpoint, spans = collector
    process, client, _ = traced(endpoint)
    assert client.get("/v1/jobs/job_1").status_code == 404
    until(lambda: any(span.name == "GET /v1/jobs/{job_id}" for _, span in spans), process)
    assert "SELECT" not in {span.name for _, span in spans}, "a look is shared, and is nobody's own"


def test_a_collector_that_is_away_hurts_nobody(traced, collector):
    process, client, _ = traced("http://127.0.0.1:9")
    assert client.post("/v1/jobs", json={"model": MODEL, "predict": {"x": [[1]]}}).status_code == 201
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_SECONDS) in (0, -signal.SIGTERM)
