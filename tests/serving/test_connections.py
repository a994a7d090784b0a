"""How long a server keeps the connections of its clients."""

from typing import Final

from starlette.applications import Starlette

from failpath_otel.serving.server import Server

EXPORT_SECONDS: Final = 5
"""Between two exports, by default, of OpenTelemetry's SDKs."""


def test_a_connection_does_not_end_when_the_next_export_is_due() -> None:
    """Else its end and the next request would meet, and what does not send again has lost its spans."""
    server = Server(Starlette(), ready=lambda: None, ending=lambda: None, grace_seconds=1)
    kept = server.config.timeout_keep_alive
    assert kept > EXPORT_SECONDS
    assert kept % EXPORT_SECONDS >= 2
