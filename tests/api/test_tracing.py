"""Telemetry is on where somebody listens, and costs nothing where nobody does."""

import pytest

from api.tracing import ENDPOINT, telemetry


@pytest.mark.parametrize(
    ("endpoint", "sdk", "on"),
    [("", True, False), ("http://127.0.0.1:4318", False, False), ("http://127.0.0.1:4318", True, True)],
)
def test_telemetry_needs_an_endpoint_and_a_kit(endpoint, sdk, on, monkeypatch):
    monkeypatch.setenv(ENDPOINT, endpoint)
    monkeypatch.setattr("api.tracing.find_spec", lambda name: sdk or None)
    asked = telemetry()
    assert (asked["tracing"], asked["metrics"], asked["auto_configure"]) == (on, on, on)


def test_without_an_endpoint_a_request_does_not_ask_for_listeners(client):
    assert client.app._native_telemetry.enabled() is False
