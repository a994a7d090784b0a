"""Finds where a rate has changed: the last place at which a series of yes and no splits into two that differ.

The split is where the two rates explain the series best, by the ratio of likelihoods (the G statistic); it counts from
a ratio on that random series of one rate reach about once in five thousand.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from math import inf, log
from typing import Final, NamedTuple

FEWEST: Final = 5
"""The fewest values on each side of a split."""

THRESHOLD: Final = 24.0
"""The least G statistic of a split; ``tests/local/trends/`` measures how often chance reaches it."""

_CANDIDATES: Final = 2_500
"""The most splits that are tried before the best one is refined: a long series is searched coarsely first."""

_TABLE_SIZE: Final = 2 * _CANDIDATES


class Split(NamedTuple):
    """The last change of a series: values from ``begin`` up to ``at`` are one part, and those from ``at`` on the other.

    Before ``begin`` is what differs from both. ``strength`` is the G statistic.
    """

    begin: int
    at: int
    strength: float


def last_change(flags: Sequence[int], fewest: int = FEWEST) -> Split | None:
    """Return the last change of the rate of ones in a series of zeros and ones, if it has changed."""
    begin, found = 0, _best(flags, fewest)
    if found is None:
        return None
    at, strength = found
    while (later := _best(flags[at:], fewest)) is not None:
        begin, at, strength = at, at + later[0], later[1]
    while (earlier := _best(flags[begin:at], fewest)) is not None:
        begin += earlier[0]
    return Split(begin, at, strength)


def _best(flags: Sequence[int], fewest: int) -> tuple[int, float] | None:
    """Return the split of a series with the highest ratio of likelihoods, where that is high enough."""
    size = len(flags)
    sums = [0, *accumulate(flags)]
    total = sums[-1]
    if size < 2 * fewest or total in {0, size}:
        return None
    step = max(1, size // _CANDIDATES)
    candidates: Sequence[int] = range(fewest, size - fewest + 1, step)
    if step == 1:
        # Between two changes of the value the ratio is convex: the highest is at one of them, or at the ends.
        candidates = [at for at in candidates if flags[at - 1] != flags[at] or at in {fewest, size - fewest}]
    best, fit = _best_of(candidates, sums)
    if step > 1:
        near = range(max(fewest, best - step), min(size - fewest, best + step) + 1)
        best, fit = _best_of(near, sums)
    x = _x_log_x(size)
    strength = 2 * (fit - (x(total) + x(size - total) - x(size)))
    return (best, strength) if strength >= THRESHOLD else None


def _best_of(candidates: Sequence[int], sums: Sequence[int]) -> tuple[int, float]:
    """Return the best of some splits, with the logarithm of the likelihood that both of its parts have together."""
    size, total = len(sums) - 1, sums[-1]
    x = _x_log_x(size)
    best, highest = 0, -inf
    for at in candidates:
        ones, rest = sums[at], size - at
        fit = x(ones) + x(at - ones) - x(at) + x(total - ones) + x(rest - total + ones) - x(rest)
        if fit > highest:
            best, highest = at, fit
    return best, highest


def _x_log_x(highest: int) -> Callable[[int], float]:
    """Return the function ``x * log(x)`` for numbers up to the highest one, from a table where that is no larger."""
    if highest >= _TABLE_SIZE:
        return lambda number: number * log(number) if number else 0.0
    return _table().__getitem__


@cache
def _table() -> list[float]:
    return [0.0, *(number * log(number) for number in range(1, _TABLE_SIZE))]
