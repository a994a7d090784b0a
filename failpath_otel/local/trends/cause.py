"""What the failures since a change have in common: the step, and a value of their metadata."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from failpath_otel.local.store.run_row import RunRow
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import TimeRange
from failpath_otel.local.trends.changes import Change

_SAMPLE: Final = 200
"""The most failed and the most good runs, the newest of each, that are compared."""

_MOST: Final = 0.5
"""A step or a value is named where more than this share of the failures has it, and no larger share of the others."""

_FEWEST: Final = 4
_EXPLAINED: Final = 0.35
"""How much of the rise may remain where the runs with a value are left out, for the value to be named."""

_LONGEST: Final = 200
"""Characters of a key or value, beyond which it is no name of anything."""


class Common(NamedTuple):
    """A value of the metadata that ``failed`` of the ``of`` failures had which were compared."""

    key: str
    value: str
    failed: int
    of: int


class Cause(NamedTuple):
    """What failures have in common; ``None`` for what they do not."""

    step_key: str | None
    common: Common | None


def cause_of(store: Store, flow_key: str, change: Change, within: TimeRange) -> Cause:
    """Return what the failures since a rise of the failure rate have in common, and other runs do not."""
    since = within._replace(since=change.since)
    failed = store.runs.rows(_SAMPLE, flow_key=flow_key, statuses=["error"], within=since)
    good = store.runs.rows(_SAMPLE, flow_key=flow_key, statuses=["success"], within=since)
    if not good:
        earlier = within._replace(until=change.since)
        good = store.runs.rows(_SAMPLE, flow_key=flow_key, statuses=["success"], within=earlier)
    steps = Counter(row.step_key for row in failed if row.step_key is not None)
    step_key, number = steps.most_common(1)[0] if steps else (None, 0)
    return Cause(
        step_key=step_key if number > _MOST * len(failed) else None,
        common=_common(_pairs(store, failed), _pairs(store, good), change),
    )


def _common(failed: list[set[tuple[str, str]]], good: list[set[tuple[str, str]]], change: Change) -> Common | None:
    """Return the pair of key and value without which the failure rate would have risen little, if there is one."""
    in_failed = Counter(pair for pairs in failed for pair in pairs)
    in_good = Counter(pair for pairs in good for pair in pairs)
    allowed = change.before + _EXPLAINED * (change.value - change.before)
    found: list[tuple[float, int, tuple[str, str]]] = []
    for pair, number in in_failed.items():
        share, other = number / len(failed), in_good[pair] / len(good) if good else 0.0
        without = change.value * (1 - share)
        rate = without / (without + (1 - change.value) * (1 - other)) if without else 0.0
        if number >= _FEWEST and share > _MOST >= other and rate <= allowed:
            found.append((share - other, number, pair))
    if not found:
        return None
    # Of two that differ equally, as a customer and its region may, the first in the alphabet: always the same one.
    _, number, (key, value) = min(found, key=lambda each: (-each[0], each[2]))
    return Common(key, value, number, len(failed))


def _pairs(store: Store, rows: Iterable[RunRow]) -> list[set[tuple[str, str]]]:
    return [set(_texts(metadata)) for metadata in store.flows.metadata(row.key for row in rows)]


def _texts(metadata: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in metadata.items():
        if isinstance(value, bool):
            yield key, "true" if value else "false"
        elif isinstance(value, (str, int, float)) and len(key) <= _LONGEST and 0 < len(str(value)) <= _LONGEST:
            yield key, str(value)
