"""What differs between two runs of a flow: outcomes, durations beyond what is usual, attempts, metadata."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from failpath_otel import semconv
from failpath_otel.local.flows.grid import Column, Line
from failpath_otel.local.flows.statistics import Run, percentile
from failpath_otel.records.record import Status

MAX_VALUE: Final = 200
"""Characters of a value of metadata that a comparison shows."""

MAX_VALUES: Final = 20
"""Values of metadata that differ which a comparison shows of one step; the others are counted."""

_FEWEST: Final = 5
"""The fewest durations that say what is usual."""

_FACTOR: Final = 1.25
_LEAST_MS: Final = 1.0
"""Where it is known what is usual: by how much a step must be slower or faster than the other besides."""

_ROUGH_FACTOR: Final = 2.0
_ROUGH_LEAST_MS: Final = 10.0
"""The same where it is not known."""

Difference = Literal["missing", "pending", "new", "outcome", "error", "slower", "faster", "attempts", "metadata"]
"""``missing``: the run does not have the step and the other does; ``pending``: the same, but the run is running."""


class Usual(NamedTuple):
    """The durations of a step in milliseconds: 5 % are shorter than ``low``, 5 % longer than ``high``."""

    low: float
    p50: float
    high: float


class Changed(msgspec.Struct, frozen=True, rename="camel"):
    """A value of metadata, as text, in the run and in the other one; ``None`` where there is none."""

    key: str
    own: str | None
    other: str | None


class Side(msgspec.Struct, frozen=True, rename="camel"):
    """A step in one of the runs, by its newest attempt; ``attempts`` and ``failed_attempts`` count all of them."""

    status: Status
    duration_ms: float | None
    attempts: int
    failed_attempts: int
    error_name: str | None
    error_message: str | None


class ComparedStep(msgspec.Struct, frozen=True, rename="camel"):
    """A step in both runs, and in what it differs.

    ``difference_ms`` and ``factor`` are those of the run against the other, where both have a duration. ``p50_ms`` and
    ``p95_ms`` are those of the runs up to the older one of the two. ``more_metadata`` counts values that are left out.
    """

    step_key: str
    label: str
    depth: int
    differs: list[Difference]
    own: Side | None
    other: Side | None
    difference_ms: float | None
    factor: float | None
    p50_ms: float | None
    p95_ms: float | None
    metadata: list[Changed]
    more_metadata: int


class Comparison(NamedTuple):
    """The steps of two runs, and the metadata that differs between them alike in every step."""

    steps: list[ComparedStep]
    metadata: list[Changed]


class ComparedRun(NamedTuple):
    """A run to compare: its column, and the metadata of each step."""

    column: Column
    metadata: Mapping[str, Mapping[str, Any]]


def usual_durations(runs: Sequence[Run], until: int) -> dict[str, Usual]:
    """Return what durations are usual, by step key, where enough are known.

    Those of the runs that began no later than ``until`` (microseconds since the epoch) count: what was usual before
    the newer of two runs is no news of it. Where these have too few of a step, those of all runs do.
    """
    early = _durations(run for run in runs if run.row.started <= until)
    found: dict[str, Usual] = {}
    for step_key, durations in _durations(runs).items():
        before = early.get(step_key, [])
        counted = before if len(before) >= _FEWEST else durations
        low, middle, high = (percentile(counted, share) for share in (0.05, 0.5, 0.95))
        if len(counted) >= _FEWEST and low is not None and middle is not None and high is not None:
            found[step_key] = Usual(low, middle, high)
    return found


def compare(
    own: ComparedRun,
    other: ComparedRun,
    lines: Iterable[Line],
    usual: Mapping[str, Usual],
    labels: Mapping[str, str],
) -> Comparison:
    """Return in what ``own`` differs from ``other``: the steps that either has, in the order of ``lines``."""
    changed = {
        step_key: _changed(own.metadata.get(step_key, {}), other.metadata.get(step_key, {}))
        for step_key in own.column.newest.keys() & other.column.newest.keys()
    }
    everywhere = _everywhere(changed)
    absent: Difference = "pending" if own.column.row.status == semconv.STATUS_RUNNING else "missing"
    steps: list[ComparedStep] = []
    for step_key, depth in lines:
        here, there = _side(own.column, step_key), _side(other.column, step_key)
        if here is None and there is None:
            continue
        its = usual.get(step_key)
        values = [each for each in changed.get(step_key, ()) if each.key not in everywhere]
        difference, factor = _against(here, there)
        steps.append(
            ComparedStep(
                step_key=step_key,
                label=labels.get(step_key, step_key),
                depth=depth,
                differs=[absent] if here is None else list(_differences(here, there, its, values)),
                own=here,
                other=there,
                difference_ms=difference,
                factor=factor,
                p50_ms=None if its is None else its.p50,
                p95_ms=None if its is None else its.high,
                metadata=values[:MAX_VALUES],
                more_metadata=max(0, len(values) - MAX_VALUES),
            )
        )
    return Comparison(steps, [everywhere[key] for key in sorted(everywhere)])


def _against(own: Side | None, other: Side | None) -> tuple[float | None, float | None]:
    if own is None or other is None or own.duration_ms is None or other.duration_ms is None:
        return None, None
    factor = own.duration_ms / other.duration_ms if other.duration_ms else None
    return round(own.duration_ms - other.duration_ms, 3), factor


def _differences(own: Side, other: Side | None, usual: Usual | None, values: Sequence[Changed]) -> Iterator[Difference]:
    if other is None:
        yield "new"
        return
    if own.status != other.status:
        yield "outcome"
    elif (own.error_name, own.error_message) != (other.error_name, other.error_message):
        yield "error"
    own_ms, other_ms = own.duration_ms, other.duration_ms
    if own_ms is not None and other_ms is not None and is_notable(own_ms, other_ms, usual):
        yield "slower" if own_ms > other_ms else "faster"
    if _repeated(own) != _repeated(other):
        yield "attempts"
    if values:
        yield "metadata"


def _repeated(side: Side) -> tuple[int, int]:
    """Return how often it was tried, and how many of these attempts before the newest failed."""
    return side.attempts, side.failed_attempts - (side.status == semconv.STATUS_ERROR)


def is_notable(own_ms: float, other_ms: float, usual: Usual | None) -> bool:
    """Return whether two durations of a step differ by more than it varies anyway.

    They do if one of them is no usual one, and they are apart by a quarter and a millisecond; or, where it is not
    known what is usual, by a factor of two and ten milliseconds.
    """
    short, long = sorted((own_ms, other_ms))
    if usual is None:
        return long >= _ROUGH_FACTOR * short and long - short >= _ROUGH_LEAST_MS
    return (long > usual.high or short < usual.low) and long >= _FACTOR * short and long - short >= _LEAST_MS


def _side(column: Column, step_key: str) -> Side | None:
    attempt = column.newest.get(step_key)
    if attempt is None:
        return None
    tried, failed = column.repeated.get(step_key, (1, int(attempt.status == semconv.STATUS_ERROR)))
    return Side(attempt.status, attempt.duration_ms, tried, failed, attempt.error_name, attempt.error_message)


def _durations(runs: Iterable[Run]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for attempt in run.attempts:
            if attempt.status in {semconv.STATUS_SUCCESS, semconv.STATUS_ERROR} and attempt.duration_ms is not None:
                found.setdefault(attempt.step_key, []).append(attempt.duration_ms)
    return found


def _changed(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[Changed]:
    return [
        Changed(key, _text(own, key), _text(other, key))
        for key in dict.fromkeys([*other, *own])
        if key not in own or key not in other or not _is_equal(own[key], other[key])
    ]


def _is_equal(own: object, other: object) -> bool:
    # 1 and true are equal in Python.
    return own == other and type(own) is type(other)


def _text(values: Mapping[str, Any], key: str) -> str | None:
    if key not in values:
        return None
    value = values[key]
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _everywhere(changed: Mapping[str, Sequence[Changed]]) -> dict[str, Changed]:
    """Return the changes that are the same in all steps that have the key, if these are two at least."""
    first: dict[str, Changed] = {}
    times: dict[str, int] = {}
    differing: set[str] = set()
    for values in changed.values():
        for each in values:
            times[each.key] = times.get(each.key, 0) + 1
            if first.setdefault(each.key, each) != each:
                differing.add(each.key)
    return {key: each for key, each in first.items() if times[key] > 1 and key not in differing}
