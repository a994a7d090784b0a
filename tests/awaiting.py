"""Clients that wait for the delivery of each event, of which nothing waits for another try at the end."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import FailpathClient
from tests.fault_server import Behaviour, FaultServer, accepted, silent, status
from tests.receiver import wait_for

Configure = Callable[..., FailpathClient]
FAILURES: dict[str, Behaviour] = {"503": status(503), "401": status(401), "silent": silent}


def _is_empty(client: FailpathClient) -> bool:
    return client.shutdown(0.3) or not client.stats().waiting


@contextmanager
def awaiting_clients(server: FaultServer, send_timeout: float) -> Iterator[Configure]:
    """Yield a function that makes them."""
    made: list[FailpathClient] = []

    def call(endpoint: str = server.url, **options: Any) -> FailpathClient:
        given: dict[str, Any] = {"delivery": "await", "send_timeout": send_timeout, **options}
        provider = TracerProvider(shutdown_on_exit=False)
        key = "fp_project_0123456789_secret"
        made.append(failpath_otel.configure(project_key=key, endpoint=endpoint, tracer_provider=provider, **given))
        return made[-1]

    yield call
    server.answer_with(accepted)
    for client in made:
        wait_for(functools.partial(_is_empty, client))
