"""OpenTelemetry, where an operator has installed its SDK with an exporter and set OTEL_EXPORTER_OTLP_ENDPOINT."""

import os
from importlib.util import find_spec

from fastapi.telemetry import TelemetryConfig

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def telemetry() -> TelemetryConfig:
    """Tell FastAPI what to do.

    What nobody listens to is switched off: to ask at every request whether anybody does costs a tenth of a poll.
    """
    wanted = bool(os.environ.get(ENDPOINT)) and find_spec("opentelemetry.sdk") is not None
    return {"tracing": wanted, "metrics": wanted, "logs": False, "auto_configure": wanted}
