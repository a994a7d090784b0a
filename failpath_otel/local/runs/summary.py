"""The summary of a run: what lists, figures and filters need of its view."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from failpath_otel import semconv
from failpath_otel.local.runs.pairs import joined, pairs_of
from failpath_otel.local.runs.retries import retries_by_step
from failpath_otel.local.runs.step_error import StepError, one_line, step_errors
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import RunView, StepView
from failpath_otel.records.record import ProcessInfo, Record, Status

MAX_SEARCH: Final = 4096
"""Characters of a run that the text filter searches."""


class AttemptSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt of a step. Times are microseconds since the epoch; the message is one line.

    ``newest`` says whether it is the newest attempt of its step. ``parent`` is the span of the step around it.
    """

    step_key: str
    status: Status
    started: int | None
    ended: int | None
    duration_ms: float | None
    error_name: str | None
    error_message: str | None
    trace_id: str
    span_id: str
    process: ProcessInfo | None
    newest: bool
    parent: str | None = None


_Time = TypeVar("_Time")


class RunOverview(msgspec.Struct, Generic[_Time], frozen=True, rename="camel"):
    """What a list shows of a run: the one definition from which the table, its rows and the answers follow.

    Times are microseconds since the epoch (``int``) in the database, and RFC 3339 (``str``) in answers; ``active_at``
    is that of the newest event. ``steps`` and ``failed`` count steps, not attempts: all, and those whose newest attempt
    failed. ``failed_attempts`` counts attempts, and ``retries`` those that began after a failed one of their step had
    ended. ``step_key`` is the step that failed or started last, of those whose newest attempt failed or runs;
    ``message`` is its error.
    """

    flow_key: str
    run_id: str
    status: Status
    started: _Time = msgspec.field(name="startedAt")
    ended: _Time | None = msgspec.field(name="endedAt")
    duration_ms: float | None
    active_at: _Time
    steps: int
    failed: int
    failed_attempts: int
    retries: int
    step_key: str | None
    message: str | None


class RunSummary(RunOverview[int], frozen=True):
    """What follows from the events of a run.

    ``search`` is what the text filter searches, case-folded, ``pairs`` what the filter by metadata does.
    """

    attempts: list[AttemptSummary]
    errors: list[StepError]
    pairs: str
    search: str


def summarise(run: RunView, events: Iterable[Record]) -> RunSummary:
    """Return the summary of a run from its view and its events."""
    steps = run.steps
    last = {step.step_key: place for place, step in enumerate(steps)}
    attempts = [_attempt(step, newest=last[step.step_key] == place) for place, step in enumerate(steps)]
    newest = [attempt for attempt in attempts if attempt.newest]
    notable = max(
        (attempt for attempt in newest if attempt.status in (semconv.STATUS_ERROR, semconv.STATUS_RUNNING)),
        key=lambda attempt: attempt.ended or attempt.started or 0,
        default=None,
    )
    return RunSummary(
        flow_key=run.flow_key,
        run_id=run.run_id,
        status=run.status,
        started=parse_rfc3339(run.started_at),
        ended=_optional_time(run.ended_at),
        duration_ms=run.duration_ms,
        active_at=max(parse_rfc3339(event.timestamp) for event in events),
        steps=len(newest),
        failed=sum(attempt.status == semconv.STATUS_ERROR for attempt in newest),
        failed_attempts=sum(attempt.status == semconv.STATUS_ERROR for attempt in attempts),
        retries=sum(retries_by_step(attempts).values()),
        step_key=None if notable is None else notable.step_key,
        message=None if notable is None else _message(notable),
        attempts=attempts,
        errors=step_errors(run.flow_key, steps),
        pairs=joined(pairs_of(steps)),
        search=_search(run, steps),
    )


def _attempt(step: StepView, *, newest: bool) -> AttemptSummary:
    error = step.error
    return AttemptSummary(
        step.step_key,
        step.status,
        _optional_time(step.started_at),
        _optional_time(step.ended_at),
        step.duration_ms,
        None if error is None else one_line(error.name),
        None if error is None else one_line(error.message),
        step.trace_id,
        step.span_id,
        step.process,
        newest,
        step.parent_span_id,
    )


def _message(attempt: AttemptSummary) -> str | None:
    if attempt.error_name is None:
        return None
    return f"{attempt.error_name}: {attempt.error_message}" if attempt.error_message else attempt.error_name


def _optional_time(text: str | None) -> int | None:
    return None if text is None else parse_rfc3339(text)


def _search(run: RunView, steps: Sequence[StepView]) -> str:
    """Return a line for each text, each once; likely search terms come first, because the rest is cut."""
    found: dict[str, None] = {}
    room = MAX_SEARCH
    for text in _texts(run, steps):
        line = text[:room].casefold().replace("\n", " ")
        if line and line not in found:
            found[line] = None
            room -= len(line) + 1
            if room <= 0:
                break
    return "\n".join(found)[:MAX_SEARCH]


def _texts(run: RunView, steps: Sequence[StepView]) -> Iterator[str]:
    yield run.run_id
    yield run.flow_key
    for step in steps:
        yield step.step_key
    for step in steps:
        if step.error is not None:
            yield one_line(step.error.name)
            yield one_line(step.error.message)
    for step in steps:
        yield from _values(step.metadata)


def _values(metadata: dict[str, Any]) -> Iterator[str]:
    # No recursion: the sender decides the depth.
    waiting: list[Any] = [metadata]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, str):
            yield value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield str(value)
