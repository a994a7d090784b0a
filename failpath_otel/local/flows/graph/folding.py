"""Steps whose keys differ by a number only, and that stand in the same place, are one node (decision 0025)."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from failpath_otel.local.flows.graph.occurrences import occurrence_of
from failpath_otel.local.runs.summary import AttemptSummary

FEWEST: Final = 10
"""The fewest steps that are folded into one node."""

FEWEST_LANES: Final = 40
"""The same where the numbers are those of lanes with several steps each."""

_RUNS: Final = 20
"""The most runs that are looked at, the newest."""

_ORDERED: Final = 0.3
"""The share of neighbours that follow each other in all runs from which on steps are a chain, or several."""

_SURE: Final = 3
"""The fewest runs in which two steps follow each other by more than chance."""

_NUMBER: Final = re.compile("[0-9]+")
_MOST_NUMBERS: Final = 8


def folded(runs: Sequence[Sequence[AttemptSummary]], steps: Iterable[str], declared: Collection[str]) -> dict[str, str]:
    """Return the pattern of each step that is folded, as ``resize-*``.

    Args:
        runs: the attempts of each, oldest first.
        steps: the keys of all steps.
        declared: the keys of steps that are never folded.
    """
    keys = list(steps)
    groups = _groups(key for key in keys if key not in declared)
    for pattern in set(keys) & groups.keys():
        del groups[pattern]
    pattern_of = {key: pattern for pattern, members in groups.items() for key in members}
    if not groups:
        return {}
    seen = [_Seen(attempts, pattern_of) for attempts in runs[-_RUNS:]]
    kept = {
        pattern: members
        for pattern, members in groups.items()
        if len({parent for run in seen for parent in run.parents.get(pattern, ())}) <= 1
        and not _is_ordered(list(members), [run.times[pattern] for run in seen if pattern in run.times])
    }
    return {
        key: pattern
        for pattern, members in kept.items()
        if len(members) >= FEWEST_LANES or not _has_lanes(pattern, groups)
        for key in members
    }


def _groups(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return groups of steps that are large enough, by their patterns: keys and their numbers, in their order."""
    patterns: dict[str, list[tuple[str, str]]] = {}
    sizes: Counter[str] = Counter()
    for key in keys:
        found = [
            (f"{key[: number.start()]}*{key[number.end() :]}", number[0])
            for number, _ in zip(_NUMBER.finditer(key), range(_MOST_NUMBERS), strict=False)
        ]
        patterns[key] = found
        sizes.update(pattern for pattern, _ in found)
    groups: dict[str, dict[str, str]] = {}
    for key, found in patterns.items():
        if found:
            pattern, number = max(found, key=lambda item: sizes[item[0]])
            if sizes[pattern] >= FEWEST:
                groups.setdefault(pattern, {})[key] = number
    return {
        pattern: dict(sorted(members.items(), key=lambda item: (len(item[1]), item[1])))
        for pattern, members in groups.items()
        if len(members) >= FEWEST
    }


class _Seen:
    """One run: when the steps of each pattern ran, and inside what."""

    def __init__(self, attempts: Sequence[AttemptSummary], pattern_of: Mapping[str, str]) -> None:
        self.times: dict[str, dict[str, tuple[int, float]]] = {}
        self.parents: dict[str, set[str]] = {}
        keys: dict[str, str] = {}
        for attempt in attempts:
            keys[attempt.span_id] = pattern_of.get(attempt.step_key, attempt.step_key)
        for attempt in attempts:
            pattern = pattern_of.get(attempt.step_key)
            found = None if pattern is None else occurrence_of(0, attempt)
            if pattern is None or found is None:
                continue
            times = self.times.setdefault(pattern, {})
            start, end = times.get(attempt.step_key, (found.start, found.end))
            times[attempt.step_key] = min(start, found.start), found.end if end == float("inf") else max(end, found.end)
            # One and the same step around them all may have a record that was lost.
            if attempt.parent is not None and attempt.parent in keys:
                self.parents.setdefault(pattern, set()).add(keys[attempt.parent])


def _is_ordered(members: Sequence[str], runs: Sequence[Mapping[str, tuple[int, float]]]) -> bool:
    """Return whether many follow their neighbours in (nearly) all runs, by their numbers or as they began once."""
    if not runs:
        return True
    begun = sorted(runs[0], key=lambda key: runs[0][key])
    orders = [(members, runs), (list(reversed(members)), runs), (begun, runs[1:])]
    return any(its and _share(order, its) >= _ORDERED for order, its in orders)


def _share(order: Sequence[str], runs: Sequence[Mapping[str, tuple[int, float]]]) -> float:
    follows: Counter[tuple[str, str]] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for times in runs:
        had = [key for key in order if key in times]
        for pair in pairwise(had):
            together[pair] += 1
            follows[pair] += times[pair[0]][1] <= times[pair[1]][0]
    sure = {pair: count for pair, count in together.items() if count >= _SURE} or together
    return sum(follows[pair] >= 0.9 * count for pair, count in sure.items()) / (len(sure) or 1)


def _has_lanes(pattern: str, groups: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether another group has mostly the same numbers."""
    numbers = set(groups[pattern].values())
    return any(
        2 * len(numbers.intersection(members.values())) >= len(numbers)
        for other, members in groups.items()
        if other != pattern
    )
