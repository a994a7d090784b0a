"""A gateway's application in this process, for tests of what it answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from failpath_otel.gateway.app import Gateway, create_app
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options


@dataclass(frozen=True)
class App:
    """An application, and a client of it."""

    client: TestClient
    forwarder: Forwarder


@contextmanager
def gateway_app(endpoint: str, journal: Path | None, token: str | None = None, **settings: Any) -> Iterator[App]:
    """A gateway that delivers to ``endpoint``, until the end of the block."""
    given = {"project_key": "fp_project_app_0123", "endpoint": endpoint}
    options = Options.resolve_delivery(**given, journal=None if journal is None else str(journal), max_queue_size=10)
    forwarder = Forwarder(options)
    app = create_app(Gateway(forwarder, token, **settings))
    try:
        yield App(TestClient(app, raise_server_exceptions=False), forwarder)
    finally:
        forwarder.pipeline.shutdown(0)
