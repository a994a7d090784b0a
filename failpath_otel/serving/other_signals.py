"""The signals of OTLP beside traces: metrics and logs are refused with the setting to change, or discarded.

Shared by OTLP over HTTP and over gRPC. Thread-safe.
"""

from collections import Counter
from collections.abc import Collection
from threading import Lock
from typing import Final, Literal, NamedTuple

from failpath_otel.report import warn

Signal = Literal["metrics", "logs"]
Protocol = Literal["http", "grpc"]
Outcome = Literal["discarded", "refused"]

METRICS: Final[Signal] = "metrics"
LOGS: Final[Signal] = "logs"
SIGNALS: Final[tuple[Signal, ...]] = (METRICS, LOGS)

ROUTES: Final[dict[Signal, str]] = {METRICS: "/v1/metrics", LOGS: "/v1/logs"}
"""The routes of OTLP/HTTP."""

GRPC_METHODS: Final[dict[Signal, str]] = {
    METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
"""The methods of OTLP/gRPC. An empty message is the response to what is discarded, for both signals."""

HTTP_STATUS: Final = 404
"""Of a refusal. Every exporter drops the batch after it; older ones for Python send again after any 5xx, also 501."""

GRPC_STATUS: Final = 12
"""UNIMPLEMENTED of ``google.rpc.Code``: of a refusal over gRPC, and the code of the ``Status`` over HTTP."""

MAX_SENDERS: Final = 256
"""Senders that are logged; what further ones send is counted."""

_VARIABLES: Final[dict[Signal, str]] = {METRICS: "OTEL_METRICS_EXPORTER", LOGS: "OTEL_LOGS_EXPORTER"}


class Counted(NamedTuple):
    """What requests are counted by."""

    signal: Signal
    protocol: Protocol
    outcome: Outcome


class OtherSignals:
    """Decides on requests with other signals than traces, counts them, and logs each sender once.

    Args:
        discarded: the signals that are taken and discarded; the others are refused.
    """

    def __init__(self, discarded: Collection[Signal] = ()) -> None:
        self._discarded: Final = frozenset(discarded)
        self._counts: Final[Counter[Counted]] = Counter()
        self._logged: Final[set[tuple[Signal, str]]] = set()
        self._lock: Final = Lock()

    def refuse(self, signal: Signal, protocol: Protocol, sender: str) -> str | None:
        """Return why a request is refused; ``None`` if it is to be read, and discarded.

        Args:
            signal: what the request holds.
            protocol: how it has come.
            sender: the IP address of the peer, without its port: a refusal is logged once for each.
        """
        if signal in self._discarded:
            return None
        with self._lock:
            self._counts[Counted(signal, protocol, "refused")] += 1
            is_new = (signal, sender) not in self._logged and len(self._logged) < MAX_SENDERS
            if is_new:
                self._logged.add((signal, sender))
        if is_new:
            warn(
                "Failpath: %s sends %s, which this server does not accept: set %s=none for it, or start this server"
                " with --accept-other-signals. Further requests of this sender are not logged.",
                sender,
                signal,
                _VARIABLES[signal],
            )
        return (
            f"this server takes no {signal}, only traces: set {_VARIABLES[signal]}=none for the sender (a Collector:"
            f" leave this server out of its {signal} pipelines), or start this server with --accept-other-signals"
        )

    def note_discarded(self, signal: Signal, protocol: Protocol) -> None:
        """Count a request that was read, and discarded."""
        with self._lock:
            self._counts[Counted(signal, protocol, "discarded")] += 1

    def counts(self) -> dict[Counted, int]:
        """Return the number of requests since the start."""
        with self._lock:
            return dict(self._counts)

    def totals(self) -> dict[Signal, dict[Outcome, int]]:
        """Return the number of requests by signal and outcome, over all protocols."""
        counts = self.counts()
        found: dict[Signal, dict[Outcome, int]] = {signal: {"discarded": 0, "refused": 0} for signal in SIGNALS}
        for counted, number in counts.items():
            found[counted.signal][counted.outcome] += number
        return found
