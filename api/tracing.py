"""OpenTelemetry, where an operator has installed the extra `telemetry` and set OTEL_EXPORTER_OTLP_ENDPOINT."""

import os
from importlib.util import find_spec

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import Scope

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def telemetry() -> TelemetryConfig:
    """Tell FastAPI what to do.

    What nobody listens to is switched off: to ask at every request whether anybody does costs a tenth of a poll.
    """
    wanted = bool(os.environ.get(ENDPOINT)) and find_spec("opentelemetry.sdk") is not None
    if wanted:
        os.environ.setdefault("OTEL_SERVICE_NAME", "trainyard-gateway")
    return {"tracing": wanted, "metrics": wanted, "logs": False, "auto_configure": wanted}


def name_span(scope: Scope, route: str) -> None:
    """Say which route answers where FastAPI does not choose it itself."""
    if telemetry := scope.get("fastapi.telemetry"):
        telemetry.route = route
        trace.get_current_span().update_name(f"{scope['method']} {route}")
