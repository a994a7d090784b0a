"""When nodes ran in one unit: attempts of a step, put together where one repeats the other."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from failpath_otel import semconv
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.records.record import ProcessInfo

INFINITY: Final = float("inf")


class Occurrence(NamedTuple):
    """A node from its start to its end: one attempt, or those that repeated a failed one."""

    start: int
    end: float
    node: int
    process: ProcessInfo | None


BY_TIME: Final = itemgetter(0, 1, 2)
"""The key of a sort by start, end and node."""


def occurrence_of(node: int, attempt: AttemptSummary) -> Occurrence | None:
    """Return one attempt; ``None`` if it has no times. What has no start is an instant."""
    start = attempt.ended if attempt.started is None else attempt.started
    if start is None:
        return None
    # A clock that was set back may end a step before its start.
    return Occurrence(start, INFINITY if attempt.ended is None else max(start, attempt.ended), node, attempt.process)


class Occurrences:
    """All occurrences of a unit in which some node has several attempts.

    An attempt that follows a failed or abandoned one is part of the same occurrence, unless another step ran again
    between the two: then it is a loop. So is one that follows a success, if anything began between the two. Attempts
    that overlap are one occurrence.
    """

    def __init__(self, by_node: Mapping[int, Sequence[AttemptSummary]], folded: Iterable[int]) -> None:
        single = frozenset(folded)
        found = {node: _sorted(node, attempts) for node, attempts in by_node.items()}
        self._starts = sorted(each.start for of_node in found.values() for each, _ in of_node)
        self._again = sorted(
            each.start for node, of_node in found.items() if node not in single for each, _ in of_node[1:]
        )
        self._abandoned = [
            each.start
            for of_node in found.values()
            for each, goes_on in of_node[:-1]
            if each.end == INFINITY and goes_on
        ]
        self._of: dict[int, list[Occurrence]] = {}
        self._overlapping: set[int] = set()
        for node, of_node in found.items():
            if of_node:
                self._of[node] = [_around(of_node)] if node in single else self._joined(node, of_node)
        self._firsts = sorted((of_node[0] for of_node in self._of.values()), key=BY_TIME)
        self._every = sorted((each for of_node in self._of.values() for each in of_node), key=BY_TIME)

    def _joined(self, node: int, attempts: Sequence[tuple[Occurrence, bool]]) -> list[Occurrence]:
        current, failed = attempts[0]
        joined: list[Occurrence] = []
        for attempt, attempt_failed in attempts[1:]:
            if failed:
                # An attempt without an end was abandoned for the next one.
                end = min(current.end, attempt.start)
                together = bisect_left(self._again, attempt.start) == bisect_left(self._again, end)
                last = attempt.end
            else:
                overlapping = attempt.start < current.end
                if overlapping:
                    self._overlapping.add(node)
                together = overlapping or bisect_left(self._starts, attempt.start) == bisect_left(
                    self._starts, current.end
                )
                last = max(current.end, attempt.end)
            if together:
                current = current._replace(end=last)
            else:
                joined.append(current)
                current = attempt
            failed = attempt_failed
        joined.append(current)
        return joined

    def repeats(self) -> tuple[tuple[int, int], ...]:
        """Return each node that ran again, with the set of those that ran between the two times."""
        found: set[tuple[int, int]] = set()
        starts = [each.start for each in self._every]
        for node, of_node in self._of.items():
            if node in self._overlapping:
                continue
            for before, again in pairwise(of_node):
                if any(start < again.start for start in self._abandoned):
                    break  # The run was begun anew.
                between = 0
                for each in self._every[bisect_left(starts, before.end) : bisect_right(starts, again.start)]:
                    if each.end <= again.start and each.node != node:
                        between |= 1 << each.node
                found.add((node, between))
        return tuple(sorted(found))

    def segments(self) -> list[list[Occurrence]]:
        """Return all occurrences in parts within which no loop goes back, by their starts.

        Nodes have the order in which they first began. One that runs again, before others of its part in that order,
        begins another part.
        """
        rank = {each.node: place for place, each in enumerate(self._firsts)}
        seen: set[int] = set()
        found: list[list[Occurrence]] = []
        highest = len(rank)
        for each in self._every:
            if (each.node in seen and rank[each.node] <= highest) or not found:
                found.append([])
                highest = -1
            found[-1].append(each)
            highest = max(highest, rank[each.node])
            seen.add(each.node)
        return found


def bits(numbers: int) -> Iterable[int]:
    """Yield the numbers in a set."""
    while numbers:
        lowest = numbers & -numbers
        yield lowest.bit_length() - 1
        numbers ^= lowest


def _sorted(node: int, attempts: Sequence[AttemptSummary]) -> list[tuple[Occurrence, bool]]:
    """Return the attempts of a node by their starts, each with whether another attempt goes on with it."""
    found: list[tuple[Occurrence, bool]] = []
    for attempt in attempts:
        each = occurrence_of(node, attempt)
        if each is not None:
            abandoned = attempt.ended is None and not attempt.newest
            found.append((each, abandoned or attempt.status == semconv.STATUS_ERROR))
    return sorted(found, key=lambda item: (item[0].start, item[0].end))


def _around(attempts: Sequence[tuple[Occurrence, bool]]) -> Occurrence:
    first = attempts[0][0]
    # Several steps are one node, so that one without an end keeps it open, unless it was abandoned.
    ends = [each.end for each, goes_on in attempts if not (goes_on and each.end == INFINITY)]
    return first._replace(end=max(ends, default=first.start))
