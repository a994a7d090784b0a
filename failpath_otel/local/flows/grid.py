"""The grid of a flow: its runs beside each other, its steps below, and what came of each step in each run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from failpath_otel import semconv
from failpath_otel.local.flows.failing import Ended, Failing, failing
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.run_row import RunRow

MOST_PLACED: Final = 500
"""The most steps that stand in the order of their places in the graph; more stand as they were first seen."""

_NESTED_FROM: Final = 20
"""The newest runs from which it is read which step runs inside which."""

_DEEPEST: Final = 20


class Column(NamedTuple):
    """A run: of each of its steps the newest attempt, and how often it was tried and failed where that was repeated."""

    row: RunRow
    newest: dict[str, AttemptSummary]
    repeated: dict[str, tuple[int, int]]


class Line(NamedTuple):
    """A step, and in how many others it runs; of those the innermost stands above it."""

    step_key: str
    depth: int


class FailingSince(NamedTuple):
    """Since when a step fails, in microseconds since the epoch, and the first run in which it does."""

    since: int
    run_id: str
    failing: Failing


def column(row: RunRow, attempts: Iterable[AttemptSummary]) -> Column:
    """Return the column of a run."""
    newest: dict[str, AttemptSummary] = {}
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for attempt in attempts:
        if attempt.newest:
            newest[attempt.step_key] = attempt
        else:
            tried[attempt.step_key] += 1
            failed[attempt.step_key] += attempt.status == semconv.STATUS_ERROR
    repeated = {
        step_key: (count + 1, failed[step_key] + (newest[step_key].status == semconv.STATUS_ERROR))
        for step_key, count in tried.items()
        if step_key in newest
    }
    return Column(row, newest, repeated)


def lines(columns: Sequence[Column], details: FlowDetails) -> list[Line]:
    """Return the steps of these runs in the order of the graph, each that runs inside another one below that.

    ``columns`` have the oldest run first. Declared steps are there also where none of these runs had them.
    """
    declared = () if details.declared is None else details.declared.nodes
    seen = dict.fromkeys(node.step_key for node in declared)
    for each in columns:
        seen.update(dict.fromkeys(each.newest))
    places: dict[str, tuple[int, int]] = {}
    if len(seen) <= MOST_PLACED and len(details.steps) <= MOST_PLACED:
        places = _places(details)
    last = (max((x for x, _ in places.values()), default=0) + 1, 0)
    return list(_nested(sorted(seen, key=lambda step_key: places.get(step_key, last)), _parents(columns)))


def _places(details: FlowDetails) -> dict[str, tuple[int, int]]:
    """Return the places of the steps in the graph; steps that are one node there have the same."""
    nodes = {node.step_key: (node.x, node.y) for node in details.layout.nodes}
    return {
        step_key: nodes[node.step_key]
        for node in details.shape.nodes
        if node.step_key in nodes
        for step_key in (node.step_key, *node.members)
    }


def failing_since(columns: Sequence[Column]) -> dict[str, FailingSince]:
    """Return since when steps fail, by step key, of those that do; ``columns`` have the oldest run first."""
    failed = {
        step_key
        for each in columns
        if each.row.failed
        for step_key, attempt in each.newest.items()
        if attempt.status == semconv.STATUS_ERROR
    }
    outcomes: dict[str, list[tuple[Ended, str]]] = {step_key: [] for step_key in failed}
    for each in columns:
        for step_key in failed & each.newest.keys():
            attempt = each.newest[step_key]
            if attempt.status in {semconv.STATUS_ERROR, semconv.STATUS_SUCCESS}:
                ended = Ended(attempt.ended or each.row.started, attempt.status == semconv.STATUS_ERROR)
                outcomes[step_key].append((ended, each.row.run_id))
    found: dict[str, FailingSince] = {}
    for step_key, of_step in outcomes.items():
        its = failing([ended for ended, _ in of_step])
        if its is not None:
            (first, _), run_id = of_step[its.first]
            found[step_key] = FailingSince(first, run_id, its)
    return found


def _parents(columns: Sequence[Column]) -> dict[str, str]:
    """Return of each step the one that it ran inside of in most of the newest runs."""
    found: dict[str, Counter[str]] = {}
    for each in columns[-_NESTED_FROM:]:
        if not any(attempt.parent for attempt in each.newest.values()):
            continue
        spans = {attempt.span_id: step_key for step_key, attempt in each.newest.items()}
        for step_key, attempt in each.newest.items():
            parent = spans.get(attempt.parent or "")
            if parent is not None and parent != step_key:
                found.setdefault(step_key, Counter())[parent] += 1
    return {step_key: counts.most_common(1)[0][0] for step_key, counts in found.items()}


def _nested(order: Sequence[str], parents: Mapping[str, str]) -> Iterator[Line]:
    """Yield the steps in this order, but what runs inside another one right below that."""
    inside: dict[str, list[str]] = {}
    for step_key in order:
        inside.setdefault(parents.get(step_key, ""), []).append(step_key)
    known = set(order)
    yielded: set[str] = set()
    # Those last that, as runs differ, are inside each other: none of them has one at the top above it.
    for top in [*(step_key for step_key in order if parents.get(step_key) not in known), *order]:
        waiting = [Line(top, 0)]
        while waiting:
            line = waiting.pop()
            if line.step_key in yielded:
                continue
            yielded.add(line.step_key)
            yield line
            depth = min(line.depth + 1, _DEEPEST)
            if line.step_key:
                waiting += [Line(step_key, depth) for step_key in reversed(inside.get(line.step_key, ()))]
