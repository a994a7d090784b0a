"""Counts of a server since its start: requests by their responses, and the spans in them. Thread-safe."""

from collections import Counter
from threading import Lock
from typing import Final, NamedTuple, Protocol

from failpath_otel.serving.refusals import Refusal

OK: Final = "200"
OUTCOMES: Final = ("step", "ignored", "rejected")
"""What spans can be."""


class SpanTally(Protocol):
    """Counts of the spans of one request."""

    received: int
    steps: int
    ignored: int
    rejected: int


class Answered(NamedTuple):
    """What requests are counted by: the signal or kind of body, the protocol, and the code of the response."""

    signal: str
    protocol: str
    code: str


class Spans(NamedTuple):
    """What spans are counted by: the protocol, and ``step``, ``ignored`` or ``rejected``."""

    protocol: str
    outcome: str


class LogTally(Protocol):
    """Counts of the log records of one request; ``dropped`` are among those that are rejected."""

    kept: int
    ignored: int
    rejected: int
    dropped: int


LOG_OUTCOMES: Final = ("kept", "ignored", "dropped", "rejected")
"""What log records can be."""


class ServerCounts:
    """Counts of one server, of all protocols that it serves."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._requests: Final[Counter[Answered]] = Counter()
        self._refused: Final[Counter[str]] = Counter()
        self._spans: Final[dict[str, list[int]]] = {}  # by protocol; a number for each outcome
        self._events: Final[Counter[str]] = Counter()
        self._logs: Final[Counter[str]] = Counter()

    def count_spans(self, tally: SpanTally, protocol: str, code: str = OK) -> None:
        """Count a request that was accepted, and its spans."""
        with self._lock:
            self._requests[Answered("traces", protocol, code)] += 1
            spans = self._spans.get(protocol)
            if spans is None:
                spans = self._spans[protocol] = [0] * len(OUTCOMES)
            spans[0] += tally.steps
            spans[1] += tally.ignored
            spans[2] += tally.rejected

    def count_traces(self, protocol: str, outcome: "SpanTally | Refusal") -> None:
        """Count a request with spans."""
        if isinstance(outcome, Refusal):
            self.count_refusal("traces", protocol, outcome)
        else:
            self.count_spans(outcome, protocol)

    def count_logs(self, outcome: "LogTally | Refusal", protocol: str, code: str = OK) -> None:
        """Count a request with logs where they are kept, and its records."""
        if isinstance(outcome, Refusal):
            self.count_refusal("logs", protocol, outcome)
            return
        with self._lock:
            self._requests[Answered("logs", protocol, code)] += 1
            self._logs["kept"] += outcome.kept
            self._logs["ignored"] += outcome.ignored
            self._logs["dropped"] += outcome.dropped
            self._logs["rejected"] += outcome.rejected - outcome.dropped

    def count_request(self, signal: str, protocol: str, code: str, reason: str = "") -> None:
        """Count a request without spans; ``reason`` is why it was refused, in a word, and empty for a success."""
        with self._lock:
            self._requests[Answered(signal, protocol, code)] += 1
            if reason:
                self._refused[reason] += 1

    def count_refusal(self, signal: str, protocol: str, refusal: Refusal) -> None:
        """Count a request that was refused by HTTP."""
        self.count_request(signal, protocol, str(refusal.status), refusal.reason)

    def count_events(self, accepted: int, rejected: int) -> None:
        """Count a request of the wire contract that was accepted, and its events."""
        with self._lock:
            self._requests[Answered("events", "http", "202")] += 1
            self._events["accepted"] += accepted
            self._events["rejected"] += rejected

    def count_other(self, protocol: str, signal: str, refusal: Refusal | None) -> None:
        """Count a request with another signal than traces, which was refused or discarded."""
        if refusal is None:
            self.count_request(signal, protocol, OK)
        else:
            self.count_refusal(signal, protocol, refusal)

    def requests(self) -> dict[Answered, int]:
        """Return the number of requests."""
        with self._lock:
            return dict(self._requests)

    def refused(self) -> dict[str, int]:
        """Return the number of refused requests, by the reason."""
        with self._lock:
            return dict(self._refused)

    def spans(self) -> dict[Spans, int]:
        """Return the number of spans in requests that were accepted."""
        with self._lock:
            return {
                Spans(protocol, outcome): number
                for protocol, numbers in self._spans.items()
                for outcome, number in zip(OUTCOMES, numbers, strict=True)
            }

    def events(self) -> dict[str, int]:
        """Return the number of events in requests that were accepted, by ``accepted`` and ``rejected``."""
        with self._lock:
            return dict(self._events)

    def logs(self) -> dict[str, int]:
        """Return the number of log records in requests that were accepted, by :data:`LOG_OUTCOMES`."""
        with self._lock:
            return {outcome: self._logs[outcome] for outcome in LOG_OUTCOMES}

    def totals(self) -> dict[str, int]:
        """Return the counts of traces over all protocols, as ``/healthz`` shows them."""
        with self._lock:
            traces = [(key.code, number) for key, number in self._requests.items() if key.signal == "traces"]
            steps, ignored, rejected = (sum(numbers) for numbers in zip(*([0] * 3, *self._spans.values()), strict=True))
        accepted = sum(number for code, number in traces if code in {OK, "OK"})
        return {
            "requests": accepted,
            "refused": sum(number for _, number in traces) - accepted,
            "received": steps + ignored + rejected,
            "steps": steps,
            "ignored": ignored,
            "rejected": rejected,
        }
