"""What presets make of the spans of a framework: a client on a provider of its own, and what has arrived so far."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from tests.fault_server import FaultServer

SERVICE: Final = "shop"
Row = tuple[str, str, str]
"""The run, the step and a status of it."""


def rows(events: Sequence[Mapping[str, Any]], flow: str = SERVICE) -> list[Row]:
    """The records in their order, all of one flow; a run whose id is the trace's is called ``trace``."""
    assert {event["flowKey"] for event in events} <= {flow}
    return [
        ("trace" if event["runId"] == event["traceId"] else event["runId"], event["stepKey"], event["status"])
        for event in events
    ]


@dataclass
class Watched:
    """A provider that feeds a client with rules.

    ``inside`` is what had arrived whenever the framework was in the midst of a step, and called :meth:`look`.
    """

    provider: TracerProvider
    failpath: failpath_otel.FailpathClient
    server: FaultServer
    inside: list[list[Row]] = field(default_factory=list)

    def look(self, flow: str = SERVICE) -> list[list[Row]]:
        self.inside.append(self.rows(flow))
        return self.inside

    def rows(self, flow: str = SERVICE) -> list[Row]:
        assert self.failpath.flush(30)
        return rows(self.server.events, flow)


def service_provider() -> TracerProvider:
    """A provider of a service with a name."""
    return TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": SERVICE}))


@contextmanager
def watching(server: FaultServer, rules: str, provider: TracerProvider | None = None) -> Iterator[Watched]:
    """A client with the rules that ``FAILPATH_RULES`` would name, on a provider of the service ``shop``."""
    if provider is None:
        provider = service_provider()
    failpath = failpath_otel.configure(
        project_key="fp_project_presets", endpoint=server.url, tracer_provider=provider, rules=rules
    )
    try:
        yield Watched(provider, failpath, server)
    finally:
        failpath.shutdown()
