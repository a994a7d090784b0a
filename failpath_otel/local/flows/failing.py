"""Since when a step fails: where in its outcomes the failures begin, if that is more than chance."""

from collections.abc import Sequence
from math import log
from typing import Final, NamedTuple

_FEWEST: Final = 2
"""The fewest failures in a row, at the end, that are called failing."""

_CHANCE: Final = 0.05
_SURPRISE: Final = 4.0
"""The least by which the logarithm of the likelihood rises with two rates in place of one; a rise by chance at one of
a few hundred places is mostly smaller."""


class Ended(NamedTuple):
    """How a step ended in one run, and when, in microseconds since the epoch."""

    at: int
    failed: bool


class Failing(NamedTuple):
    """Failures from the outcome at place ``first`` on: ``failed`` of ``ended``; before it ``failed_before``."""

    first: int
    failed: int
    ended: int
    failed_before: int
    ended_before: int


def failing(outcomes: Sequence[Ended]) -> Failing | None:
    """Return since when a step fails that ended so, the oldest outcome first; ``None`` if it does not.

    It fails if its last outcomes all failed, or fails more often since one of its failures than before, by so much
    that one rate for all is unlikely. Where the first is the likely end of the second, it is the second.
    """
    sums = [0]
    for outcome in outcomes:
        sums.append(sums[-1] + outcome.failed)
    streak = _streak(outcomes)
    change = _change(outcomes, sums)
    if streak >= _FEWEST:
        first = len(outcomes) - streak
        if change is None or change >= first or _is_surprising(streak, sums, change):
            return _split(sums, first)
    return None if change is None else _split(sums, change)


def _streak(outcomes: Sequence[Ended]) -> int:
    streak = 0
    for outcome in reversed(outcomes):
        if not outcome.failed:
            break
        streak += 1
    return streak


def _is_surprising(streak: int, sums: Sequence[int], change: int) -> bool:
    """Return whether so many failures in a row are unlikely at the rate since the change."""
    rate = (sums[-1] - sums[change]) / (len(sums) - 1 - change)
    return bool(rate**streak < _CHANCE)


def _change(outcomes: Sequence[Ended], sums: Sequence[int]) -> int | None:
    """Return the failure from which on the rate is another, higher one, if that is likely."""
    total, failed = len(outcomes), sums[-1]
    best, place = _SURPRISE, None
    for first, outcome in enumerate(outcomes):
        if not outcome.failed or not first:
            continue
        before, after = sums[first], failed - sums[first]
        if after * first <= before * (total - first):
            continue
        rise = _likelihood(before, first) + _likelihood(after, total - first) - _likelihood(failed, total)
        if rise > best:
            best, place = rise, first
    return place


def _likelihood(failed: int, of: int) -> float:
    """Return the logarithm of the likelihood of these outcomes at their own rate."""
    if failed in (0, of):
        return 0.0
    return failed * log(failed / of) + (of - failed) * log(1 - failed / of)


def _split(sums: Sequence[int], first: int) -> Failing:
    return Failing(first, sums[-1] - sums[first], len(sums) - 1 - first, sums[first], first)
