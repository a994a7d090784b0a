"""What one run shows of the order of its nodes, as bits, so that many runs can be put together quickly.

The steps of a run are looked at in units: those that ran inside the same attempt of another step, and those that ran
inside none. Each time that a loop goes back, another unit begins. Only nodes of one unit have an order (decision 0025).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from failpath_otel.local.flows.graph.numbering import Numbering
from failpath_otel.local.flows.graph.occurrences import BY_TIME, Occurrence, Occurrences, occurrence_of
from failpath_otel.local.runs.summary import AttemptSummary

TOP: Final = -1
"""The parent of steps that ran inside no other."""

UNKNOWN: Final = -2
"""The parent of steps that ran inside a step of which there is no record."""

PAIR_BITS: Final = 20
"""A pair of nodes is one number: the first one shifted by these bits, and the second."""

_MAX_SKEW: Final = 10_000
"""Microseconds by which steps of two processes may seem to overlap although one followed the other."""

_MOST_SKEWED: Final = 100


class Unit(NamedTuple):
    """What one unit shows. Nodes are numbers, and sets of them the bits of a number.

    Each row is a node, those that ended before it began, and those that did not; rows are in the order in which the
    nodes began. What is in neither cannot be said. ``first`` began before any other had ended. Of the ``adjacent``
    pairs, the one was the last to end before the other began. ``repeats`` are nodes that ran again, each with those
    that ran since the time before; of a loop, the first unit has them.
    """

    parent: int
    present: int
    rows: tuple[tuple[int, int, int], ...]
    first: int
    adjacent: tuple[int, ...]
    repeats: tuple[tuple[int, int], ...] = ()


def units_of(attempts: Sequence[AttemptSummary], numbering: Numbering) -> tuple[Unit, ...]:
    """Return the units of one run, those of the top first."""
    groups: dict[str | None, list[AttemptSummary]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.parent, []).append(attempt)
    keys = {attempt.span_id: attempt.step_key for attempt in attempts} if len(groups) > 1 else {}
    found: list[Unit] = []
    for span_id, group in groups.items():
        key = None if span_id is None else keys.get(span_id)
        parent = TOP if span_id is None else UNKNOWN if key is None else numbering.of(key)
        found += _units(parent, group, numbering)
    return tuple(sorted(found))


def _units(parent: int, attempts: Sequence[AttemptSummary], numbering: Numbering) -> Iterator[Unit]:
    by_node: dict[int, list[AttemptSummary]] = {}
    for attempt in attempts:
        by_node.setdefault(numbering.of(attempt.step_key), []).append(attempt)
    if len(by_node) == len(attempts):
        found = (occurrence_of(numbering.of(attempt.step_key), attempt) for attempt in attempts)
        firsts = sorted((each for each in found if each is not None), key=BY_TIME)
        yield _shown(parent, firsts)
        return
    occurrences = Occurrences(by_node, numbering.joined)
    for place, segment in enumerate(occurrences.segments()):
        shown = _shown(parent, segment)
        # What begins a later part of a loop is not the first inside of anything.
        yield shown._replace(first=0) if place else shown._replace(repeats=occurrences.repeats())


def _shown(parent: int, order: Sequence[Occurrence]) -> Unit:
    """Return what a unit, or a part of it, shows; ``order`` has each node once."""
    ended = sorted((each.end, place) for place, each in enumerate(order))
    until = [0]
    for _, place in ended:
        until.append(until[-1] | 1 << order[place].node)
    present = until[-1]
    one_process = len({each.process for each in order}) == 1 and order[0].process is not None
    rows: list[tuple[int, int, int]] = []
    adjacent: set[int] = set()
    first = 0
    for place, each in enumerate(order):
        at = bisect_left(ended, (each.start, place))
        before, unclear = until[at], 1 << each.node
        newest = order[ended[at - 1][1]].node if at else None
        if not one_process:
            skewed = _Skewed(each, order, ended, at)
            before |= skewed.before
            unclear |= skewed.unclear
            newest = newest if skewed.newest is None else skewed.newest
        if not before:
            first |= 1 << each.node
        if each.end == each.start:
            unclear |= _instants(order, place)
        if newest is not None:
            adjacent.add(newest << PAIR_BITS | each.node)
        rows.append((each.node, before & ~unclear, present & ~before & ~unclear))
    return Unit(parent, present, tuple(rows), first, tuple(sorted(adjacent)))


class _Skewed:
    """Nodes that ended so little after ``later`` began that it may be because of clocks that differ.

    They are taken to have ended before it if they overlap by a half of the shorter of the two at most, or a tenth
    where the processes are not known. More is unclear.
    """

    def __init__(
        self, later: Occurrence, order: Sequence[Occurrence], ended: Sequence[tuple[float, int]], at: int
    ) -> None:
        self.before = self.unclear = 0
        self.newest: int | None = None
        most = _MAX_SKEW if later.process is not None else min(_MAX_SKEW, (later.end - later.start) / 10)
        for end, place in ended[at : at + _MOST_SKEWED]:
            if end > later.start + most:
                break
            earlier = order[place]
            known = earlier.process is not None and later.process is not None
            if earlier is later or (known and earlier.process == later.process):
                continue
            shorter = min(earlier.end - earlier.start, later.end - later.start)
            if earlier.start < later.start and end - later.start <= shorter / (2 if known else 10):
                self.before |= 1 << earlier.node
                self.newest = earlier.node
            elif known:
                self.unclear |= 1 << earlier.node


def _instants(order: Sequence[Occurrence], place: int) -> int:
    """Return the nodes that were as short, at the same time: their order cannot be said."""
    found, each = 0, order[place]
    for others in (range(place - 1, -1, -1), range(place + 1, len(order))):
        for other in others:
            if order[other][:2] != each[:2]:
                break
            found |= 1 << order[other].node
    return found
