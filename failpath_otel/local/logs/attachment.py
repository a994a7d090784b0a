"""Which step a log record belongs to: by its span, by the spans above that, else by its time, where only one can be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, Literal, NamedTuple

from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.logs import StoredLog

Relation = Literal["span", "below", "during", "run"]
"""How a record belongs to an attempt.

``span``: it is of the span of the attempt. ``below``: of a span below that. ``during``: of an unknown span in the trace
of the attempt, while that was the innermost of all that ran. ``run``: to none, but it is in a trace of the run, while
that lasted.
"""

Parent = Callable[[str, str], str | None]
"""Returns the parent of a span of a trace, if it is known."""

_MAX_DEPTH: Final = 64
_NEVER: Final = 1 << 62


class Attachment(NamedTuple):
    """How a record belongs to a run; ``place`` is the index of the attempt that it belongs to."""

    relation: Relation
    place: int | None


class _Span(NamedTuple):
    """The time of an attempt; ``place`` is its index among those of the run, and missing for one of another run."""

    trace_id: str
    span_id: str
    parent: str | None
    started: int | None
    ended: int
    place: int | None


class Attacher:
    """Attaches records to the attempts of one run.

    Args:
        attempts: those of the run.
        others: those of other runs with a trace in common.
        parent: knows which span lies below which.
    """

    def __init__(self, attempts: Sequence[AttemptSummary], others: Iterable[AttemptSummary], parent: Parent) -> None:
        self._parent: Final = parent
        spans = [_span(attempt, place) for place, attempt in enumerate(attempts)]
        spans += [_span(attempt, None) for attempt in others]
        self._by_id: Final = {(span.trace_id, span.span_id): span for span in reversed(spans)}
        self._of_trace: Final[dict[str, list[_Span]]] = {}
        for span in spans:
            if span.started is not None:
                self._of_trace.setdefault(span.trace_id, []).append(span)
        for found in self._of_trace.values():
            found.sort(key=lambda span: span.started or 0)

    def attach(self, logs: Iterable[StoredLog]) -> Iterator[Attachment | None]:
        """Yield how each of these records belongs to the run; ``None`` if it does not. They are in order of time."""
        sweeps: dict[str, _Sweep] = {}
        for log in logs:
            own = self._by_id.get((log.trace_id, log.span_id))
            if own is not None and own.place is not None:
                yield Attachment("span", own.place)
                continue
            above = self._above(log.trace_id, log.span_id)
            if above is not None:
                yield Attachment("below", above)
            elif own is not None:
                yield None  # of another run
            else:
                sweep = sweeps.get(log.trace_id)
                if sweep is None:
                    sweep = sweeps[log.trace_id] = _Sweep(self._of_trace.get(log.trace_id, []))
                yield self._by_time(log, sweep)

    def _above(self, trace_id: str, span_id: str) -> int | None:
        """Return the nearest attempt of the run above a span."""
        for _ in range(_MAX_DEPTH):
            span = self._by_id.get((trace_id, span_id))
            # The step around a step is known also where the spans between them are not.
            above = self._parent(trace_id, span_id) or (None if span is None else span.parent)
            if above is None:
                return None
            found = self._by_id.get((trace_id, above))
            if found is not None and found.place is not None:
                return found.place
            span_id = above
        return None

    def _by_time(self, log: StoredLog, sweep: "_Sweep") -> Attachment | None:
        sweep.go_to(log.at)
        # No chain is longer, so that of more at once none is the innermost.
        innermost = self._innermost(sweep.running()) if len(sweep) <= _MAX_DEPTH else None
        if innermost is not None and innermost.place is not None and not self._is_around(log.span_id, innermost):
            return Attachment("during", innermost.place)
        # Several steps at once, or none: between two of them.
        if sweep.own_running or sweep.is_within(log.at):
            return Attachment("run", None)
        return None

    def _innermost(self, running: Sequence[_Span]) -> _Span | None:
        """Return the attempt that all others of these lie around; ``None`` if there is none, or that is not known."""
        newest = max((span.started or 0 for span in running), default=0)
        for last in running:
            if last.started != newest:
                continue
            around: set[str] = {last.span_id}
            span: _Span | None = last
            while span is not None and span.parent is not None and len(around) < _MAX_DEPTH:
                around.add(span.parent)
                span = self._by_id.get((span.trace_id, span.parent))
            if all(other.span_id in around for other in running):
                return last
        return None

    def _is_around(self, span_id: str, span: _Span) -> bool:
        """Return whether a span is known to lie above an attempt."""
        above: str | None = span.span_id
        for _ in range(_MAX_DEPTH):
            above = self._parent(span.trace_id, above or "")
            if above is None:
                return False
            if above == span_id:
                return True
        return False


class _Sweep:
    """Goes through the attempts of one trace in order of time."""

    def __init__(self, spans: Sequence[_Span]) -> None:
        self._spans: Final = spans
        self._next = 0
        self._running: list[tuple[int, int, _Span]] = []  # a heap, by their ends
        self.own_running = 0
        """How many of the run itself are running."""
        own = [span for span in spans if span.place is not None]
        self._first: Final = own[0].started or 0 if own else _NEVER
        self._last: Final = max((span.ended for span in own), default=0)

    def go_to(self, at: int) -> None:
        """Go to a time, which is not before that of the last call."""
        while self._next < len(self._spans) and (self._spans[self._next].started or 0) <= at:
            span = self._spans[self._next]
            heappush(self._running, (span.ended, self._next, span))
            self.own_running += span.place is not None
            self._next += 1
        while self._running and self._running[0][0] < at:
            _, _, span = heappop(self._running)
            self.own_running -= span.place is not None

    def __len__(self) -> int:
        """Return how many are running."""
        return len(self._running)

    def running(self) -> list[_Span]:
        """Return those that are running, by their starts."""
        return [self._spans[place] for place in sorted(place for _, place, _ in self._running)]

    def is_within(self, at: int) -> bool:
        """Return whether a time lies between the first start and the last end of the run."""
        return self._first <= at <= self._last


def _span(attempt: AttemptSummary, place: int | None) -> _Span:
    started, ended = attempt.started, attempt.ended
    end = _NEVER if ended is None else ended
    return _Span(attempt.trace_id, attempt.span_id, attempt.parent, started, end, place)
