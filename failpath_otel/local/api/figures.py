"""How the receiver is: ``/healthz``, ``/readyz`` and ``/metrics``."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.responses import json_response
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.database import StoreError
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.metrics import (
    METRICS_ROUTE,
    READY_ROUTE,
    Exposition,
    counter,
    gauge,
    gauge_by,
    readiness,
    server_metrics,
    total,
)
from failpath_otel.serving.other_signals import OtherSignals
from failpath_otel.serving.routes import UnknownRoutes
from failpath_otel.serving.threads import in_thread

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_MEBIBYTE: Final = 1_048_576
_EVENTS: Final = ("accepted", "rejected")
_LIVENESS: Final[tuple[Liveness, ...]] = ("live", "silent", "gone")


@dataclass(eq=False)
class Figures:
    """The figures of a receiver.

    Args:
        receiver: what it shows.
        counts: the counts of this server, also of other protocols.
        signals: decides on metrics; logs are kept.
        is_ending: whether the server is about to end, and takes no more work.
    """

    receiver: Receiver
    _: KW_ONLY
    counts: ServerCounts = field(default_factory=ServerCounts)
    signals: OtherSignals = field(default_factory=OtherSignals)
    is_ending: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.unknown: UnknownRoutes | None = None
        self._exposition = Exposition("local", self.counts, self.signals, self._more)

    def routes(self, health: str) -> list[Route]:
        """Return the routes; *health* is the path of the one that needs no token."""
        return [
            Route(health, self.health, methods=["GET"]),
            Route(READY_ROUTE, self.ready, methods=["GET"]),
            Route(METRICS_ROUTE, self._exposition.respond, methods=["GET"]),
        ]

    async def health(self, _request: Request) -> Response:
        """Respond that the receiver serves."""
        return json_response({"status": "ok", "unknown_routes": self._unknown_requests})

    async def ready(self, _request: Request) -> Response:
        """Respond 200 if the receiver takes events, else 503 with the reason."""
        return readiness(await in_thread(self.why_not_ready))

    @property
    def _unknown_requests(self) -> int:
        return 0 if self.unknown is None else self.unknown.requests

    def why_not_ready(self) -> str | None:
        """Return why the receiver takes no events; ``None`` if it does."""
        if self.is_ending():
            return "this receiver is shutting down"
        try:
            self.receiver.store.check_writable()
        except StoreError as error:
            return str(error)
        return None

    def _more(self) -> "Iterator[Metric]":
        receiver, store = self.receiver, self.receiver.store
        yield from server_metrics(is_ready=self.why_not_ready() is None, unknown_routes=self._unknown_requests)
        events = {(outcome,): 0 for outcome in _EVENTS}
        events.update({(outcome,): number for outcome, number in self.counts.events().items()})
        yield counter("failpath_events", "Events received, and whether they were valid.", ("outcome",), events)
        logs = {(outcome,): number for outcome, number in self.counts.logs().items()}
        yield counter("failpath_log_records", "Log records received, and what became of them.", ("outcome",), logs)
        try:
            yield gauge("failpath_database_logs", "Log records of runs in the database.", store.logs.count())
            yield gauge("failpath_database_log_bytes", "Bytes that they take in the database.", store.logs.size())
            yield gauge("failpath_database_runs", "Runs in the database.", store.runs.count())
            yield gauge("failpath_database_bytes", "Bytes of the database in use.", store.size())
            yield total("failpath_database_pruned_runs", "Runs deleted for their age or size.", store.pruned().runs)
            liveness = Counter(receiver.monitor.current().values())
        except StoreError:
            return  # `failpath_ready` says so
        running = {(name,): liveness[name] for name in _LIVENESS}
        yield gauge_by("failpath_running_runs", "Runs without an end, by liveness.", ("liveness",), running)
        limit = receiver.settings.mebibytes * _MEBIBYTE
        yield gauge("failpath_database_limit_bytes", "Bytes beyond which the oldest runs are deleted.", limit)
