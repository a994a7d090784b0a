"""The figures of a server in the format of Prometheus, and whether it takes work: ``/metrics`` and ``/readyz``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel._version import __version__
from failpath_otel.serving.counts import OUTCOMES, ServerCounts
from failpath_otel.serving.other_signals import SIGNALS, OtherSignals
from failpath_otel.serving.threads import in_thread

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

METRICS_ROUTE: Final = "/metrics"
READY_ROUTE: Final = "/readyz"

_Labels = TypeVar("_Labels", bound=tuple[str, ...])


class Exposition:
    """The metrics of one server, which are read when they are asked for, on a thread.

    Nothing is counted twice: each scrape reads the counts that the server has anyway.

    Args:
        server: what the server is, as the label of ``failpath_build_info``.
        counts: requests and spans.
        signals: requests with other signals.
        more: makes further metrics.
    """

    def __init__(
        self, server: str, counts: ServerCounts, signals: OtherSignals, more: Callable[[], "Iterable[Metric]"]
    ) -> None:
        self._server: Final = server
        self._counts: Final = counts
        self._signals: Final = signals
        self._more: Final = more
        self._registry: CollectorRegistry | None = None

    async def respond(self, request: Request) -> Response:
        """Respond with all metrics, in the newest format that the request accepts."""
        accept = request.headers.get("accept", "")
        body, content_type = await in_thread(lambda: self._render(accept))
        return Response(body, headers={"Content-Type": content_type})

    def collect(self) -> "Iterator[Metric]":
        """Yield the current metrics, as a collector of ``prometheus-client`` does."""
        from prometheus_client.core import InfoMetricFamily  # noqa: PLC0415

        info = InfoMetricFamily("failpath_build", "The server and the version of its package.")
        info.add_metric((), {"server": self._server, "version": __version__})
        yield info
        yield counter(
            "failpath_requests",
            "Requests with spans, events and other signals, by the code of the response.",
            ("signal", "protocol", "code"),
            self._counts.requests(),
        )
        refused = {(reason,): number for reason, number in self._counts.refused().items()}
        yield counter("failpath_requests_refused", "Requests without success, by the reason.", ("reason",), refused)
        spans = {("http", outcome): 0 for outcome in OUTCOMES}
        spans.update({(key.protocol, key.outcome): number for key, number in self._counts.spans().items()})
        meaning = "Spans received: steps, those that are none, and steps that cannot be used."
        yield counter("failpath_spans", meaning, ("protocol", "outcome"), spans)
        others = {(str(signal), "http", outcome): 0 for signal in SIGNALS for outcome in ("discarded", "refused")}
        others.update({(key.signal, key.protocol, key.outcome): n for key, n in self._signals.counts().items()})
        labels = ("signal", "protocol", "outcome")
        yield counter("failpath_other_signal_requests", "Requests with metrics and logs.", labels, others)
        yield from self._more()

    def _render(self, accept: str) -> tuple[bytes, str]:
        # Imported with the first scrape: most servers are never asked.
        from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

        if self._registry is None:
            # Not the global registry, which belongs to programs.
            registry = CollectorRegistry(auto_describe=False)
            registry.register(self)
            ProcessCollector(registry=registry)
            self._registry = registry
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def server_metrics(*, is_ready: bool, unknown_routes: int) -> "Iterator[Metric]":
    """Yield the metrics that every server has beside its counts."""
    yield gauge("failpath_ready", "1 while the server takes work, 0 while it ends or has no room.", is_ready)
    yield total("failpath_unknown_route_requests", "Requests for unknown routes.", unknown_routes)


def gauge(name: str, meaning: str, value: float) -> "Metric":
    """Return a gauge without labels."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    return GaugeMetricFamily(name, meaning, value=float(value))


def gauge_by(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[_Labels, float]) -> "Metric":
    """Return a gauge by the values of its labels."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, number in values.items():
        family.add_metric(key, number)
    return family


def total(name: str, meaning: str, value: float) -> "Metric":
    """Return a counter without labels, whose name ends in ``_total`` when it is shown."""
    return counter(name, meaning, (), {(): value})


def counter(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[_Labels, float]) -> "Metric":
    """Return a counter by the values of its labels, whose name ends in ``_total`` when it is shown."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily(name, meaning, labels=labels)
    for key, number in sorted(values.items()):
        family.add_metric(key, number)
    return family


def readiness(reason: str | None) -> Response:
    """Return 200, or 503 with the reason for which a server takes no work."""
    if reason is None:
        return Response(b'{"status":"ready"}', media_type="application/json")
    content = msgspec.json.encode({"status": "not ready", "reason": reason})
    return Response(content, 503, media_type="application/json")
