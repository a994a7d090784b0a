"""The edges of one run by itself: which step followed which."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from failpath_otel.local.runs.summary import AttemptSummary

MAX_EDGES: Final = 2000
"""The most edges of one run; beyond that, when many steps run at once, each step keeps one edge."""

Pair = tuple[str, str]


def observed_edges(attempts: Sequence[AttemptSummary]) -> set[Pair]:
    """Return the edges of one run: B follows A if A ended before B began, and no other step fits between.

    A step lasts from the start of its first attempt to the end of its last; what has no start is an instant. Of a run
    with more than :data:`MAX_EDGES` such pairs, only the latest end before each step counts.
    """
    spans = _spans(attempts)
    ended, predecessors = _predecessors(spans)
    if sum(last - first for first, last in predecessors) > MAX_EDGES:
        predecessors = [(max(first, last - 1), last) for first, last in predecessors]
    return {
        (spans[ended[at][1]].step_key, span.step_key)
        for span, (first, last) in zip(spans, predecessors, strict=True)
        for at in range(first, last)
    }


def taken(pairs: Iterable[Pair], attempts: Sequence[AttemptSummary]) -> Iterator[Pair]:
    """Yield those of the pairs of which the one step had ended when the other began."""
    spans = {span.step_key: span for span in _spans(attempts)}
    for source, target in pairs:
        if source in spans and target in spans and spans[source].is_before(spans[target]):
            yield source, target


class _Span(NamedTuple):
    """When a step happened. Those of the same microsecond sort by key, so that they follow each other one way only."""

    start: int
    end: float
    step_key: str

    def is_before(self, other: "_Span") -> bool:
        return self.end <= other.start and self < other


def _spans(attempts: Iterable[AttemptSummary]) -> list[_Span]:
    starts: dict[str, int] = {}
    ends: dict[str, float] = {}
    is_open: dict[str, bool] = {}
    newest: dict[str, int] = {}
    for attempt in attempts:
        key, ended = attempt.step_key, attempt.ended
        start = ended if attempt.started is None else attempt.started
        if start is None:
            continue
        starts[key] = min(start, starts.get(key, start))
        if ended is not None:
            ends[key] = max(ended, ends.get(key, ended))
        if start >= newest.get(key, start):
            # An older attempt without an end was abandoned for a newer one.
            newest[key], is_open[key] = start, ended is None
    return sorted(
        # A clock that was set back may end a step before its start.
        _Span(start, float("inf") if is_open[key] else max(start, ends[key]), key)
        for key, start in starts.items()
    )


def _predecessors(spans: Sequence[_Span]) -> tuple[list[tuple[float, int]], list[tuple[int, int]]]:
    """Return the ends of all spans in order, with their spans' places, and each span's range of predecessors.

    What ended before a span is a beginning of that order. Of these the one that began last stands between the span
    and all that ended before that; the others are its predecessors.
    """
    ended = sorted((span.end, place) for place, span in enumerate(spans))
    latest: list[int] = []
    for _, place in ended:
        latest.append(max(place, latest[-1]) if latest else place)
    ranges: list[tuple[int, int]] = []
    for place, span in enumerate(spans):
        last = bisect_left(ended, (span.start, place))
        if not last:
            ranges.append((0, 0))
            continue
        between = latest[last - 1]
        first = bisect_right(ended, (spans[between].start, len(spans)), hi=last)
        # An instant does not end after its own start, and is a predecessor all the same.
        ranges.append((min(first, bisect_left(ended, (spans[between].end, between))), last))
    return ended, ranges
