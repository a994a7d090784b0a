"""The run view: the state of a run that follows from its events, in any order and with duplicates.

A run is a flow key and a run id, an attempt of a step is its span id. Nothing here reads a clock, a file or a
socket, so the same events always give the same view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from failpath_otel import semconv
from failpath_otel.local.runs.times import parse_rfc3339, to_rfc3339
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status

Liveness = Literal["live", "silent", "gone"]
"""Of what is ``running``; ``gone``: its process was on the receiver's host and has ended. ``silent``: it takes longer
than expected."""

STATUS_RANK: Final = {
    semconv.STATUS_RUNNING: 0,
    semconv.STATUS_SKIPPED: 1,
    semconv.STATUS_SUCCESS: 2,
    semconv.STATUS_ERROR: 3,
}
"""Where one span reports more than one status, the highest counts: an error that was seen once is never hidden."""


class StepView(msgspec.Struct, frozen=True, rename="camel"):
    """One attempt of one step. Times are RFC 3339 in UTC, ``duration_ms`` is never negative.

    ``attempt`` counts from 1 among the attempts of the same step. ``started_at`` is missing where no record has
    a start (a skip, a record by hand), ``ended_at`` and ``duration_ms`` while the attempt runs. ``liveness`` is
    what the receiver observes of a running attempt, ``process_is_here`` that its process still runs on the receiver's
    host; these do not follow from the records. ``parent_span_id`` is the span of the
    attempt of another step that it ran inside, where a record says so.
    """

    step_key: str
    attempt: int
    status: Status
    started_at: str | None
    ended_at: str | None
    duration_ms: float | None
    error: ErrorInfo | None
    metadata: dict[str, Any]
    span_id: str
    trace_id: str
    process: ProcessInfo | None
    liveness: Liveness | None = None
    parent_span_id: str | None = None
    process_is_here: bool = False


class RunView(msgspec.Struct, frozen=True, rename="camel"):
    """One run, with one entry for each attempt of each step, steps in the order in which they first appeared.

    ``status`` looks at the newest attempt of each step: ``running`` if one of them runs, else ``error`` if one of
    them failed, else ``skipped`` if all were, else ``success``. ``ended_at`` and ``duration_ms`` are missing while
    it is ``running``. ``liveness`` is the worst of those newest attempts.
    """

    run_id: str
    flow_key: str
    status: Status
    started_at: str
    ended_at: str | None
    duration_ms: float | None
    steps: list[StepView]
    liveness: Liveness | None = None


class RunList(msgspec.Struct, frozen=True, rename="camel"):
    """The response of ``/api/runs``; where there may be more, ``next`` is what to ask with as ``before``."""

    runs: list[RunView]
    next: str | None = None


class RunChanges(msgspec.Struct, frozen=True, rename="camel"):
    """The response of ``/api/changes``: runs that changed, each once, in the order of their last changes.

    The next request passes ``cursor`` as ``after``, at once where there are ``more``. ``reset``: the cursor was of
    another database, and changes may have been missed.
    """

    cursor: str
    reset: bool
    more: bool
    runs: list[RunView]


def build_run_view(events: Iterable[Record]) -> RunView:
    """Return the view of the one run that all ``events`` belong to; equal ``id`` means the same event.

    Raises ``ValueError`` if there are no events, if they belong to several runs, or if a time cannot be read.
    """
    entries = _canonical(events)
    if not entries:
        raise ValueError("expected at least one event")
    first = entries[0].record
    steps: dict[str, list[_Entry]] = {}
    for entry in entries:
        if (entry.record.flow_key, entry.record.run_id) != (first.flow_key, first.run_id):
            raise ValueError("expected the events of one run")
        steps.setdefault(entry.record.step_key, []).append(entry)

    attempts = {step_key: _attempts(of_step) for step_key, of_step in steps.items()}
    status = _run_status([of_step[-1].status for of_step in attempts.values()])
    every = [attempt for of_step in attempts.values() for attempt in of_step]
    started = min(attempt.at for attempt in every)
    ends = [attempt.ended for attempt in every if attempt.ended is not None]
    ended = max(ends) if ends and status != semconv.STATUS_RUNNING else None
    return RunView(
        run_id=first.run_id,
        flow_key=first.flow_key,
        status=status,
        started_at=to_rfc3339(started),
        ended_at=None if ended is None else to_rfc3339(ended),
        duration_ms=None if ended is None else _milliseconds(started, ended),
        steps=[
            _step_view(step_key, number, attempt)
            for step_key, of_step in sorted(attempts.items(), key=lambda item: (item[1][0].at, item[0]))
            for number, attempt in enumerate(of_step, start=1)
        ],
    )


def in_order(events: Iterable[Record]) -> list[Record]:
    """Return the events of one run, each once, in order of time."""
    return [entry.record for entry in _canonical(events)]


def attempt_numbers(events: Iterable[Record]) -> dict[str, int]:
    """Return the number of each event's attempt, as in the run view, by the event's id."""
    steps: dict[str, list[_Entry]] = {}
    for entry in _canonical(events):
        steps.setdefault(entry.record.step_key, []).append(entry)
    return {
        entry.id: number
        for of_step in steps.values()
        for number, attempt in enumerate(_attempts(of_step), start=1)
        for entry in (*attempt.opening, *attempt.closing)
    }


class _Entry(NamedTuple):
    """A record with its canonical place. Ids are unique, so comparing entries never reaches the record."""

    at: int
    rank: int
    id: str
    record: Record


@dataclass(slots=True)
class _Attempt:
    """The records of one attempt; ``by_hand`` means that its end was reported by another span than its own."""

    opening: list[_Entry] = field(default_factory=list[_Entry])
    closing: list[_Entry] = field(default_factory=list[_Entry])
    by_hand: bool = False

    @property
    def outcome(self) -> _Entry | None:
        """The record that decides the status: the earliest of the highest rank."""
        return min(self.closing, key=lambda entry: (-entry.rank, entry.at, entry.id), default=None)

    @property
    def status(self) -> Status:
        outcome = self.outcome
        return "running" if outcome is None else outcome.record.status

    @property
    def started(self) -> int | None:
        starts = [entry.at for entry in self.opening]
        starts += [parse_rfc3339(text) for entry in self.closing if (text := entry.record.started_at) is not None]
        return min(starts, default=None)

    @property
    def ended(self) -> int | None:
        outcome = self.outcome
        return None if outcome is None else outcome.at

    @property
    def at(self) -> int:
        """The start, or the end of an attempt without a start."""
        started = self.started
        return min(entry.at for entry in self.closing) if started is None else started

    @property
    def parent_span_id(self) -> str | None:
        """The span of the step around it: where the records differ, of the first of them that has one."""
        entries = (*self.opening, *self.closing)
        return next((entry.record.parent_span_id for entry in entries if entry.record.parent_span_id), None)

    @property
    def own(self) -> Record:
        """The record that identifies the attempt."""
        return (self.opening or self.closing)[0].record


def _canonical(events: Iterable[Record]) -> list[_Entry]:
    unique = {event.id: event for event in events}
    return sorted(
        _Entry(parse_rfc3339(event.timestamp), STATUS_RANK[event.status], event.id, event) for event in unique.values()
    )


def _attempts(entries: Sequence[_Entry]) -> list[_Attempt]:
    """Return the attempts of one step, oldest first; ``entries`` are the step's, in canonical order.

    An outcome whose own span has no ``running`` was recorded by hand, also if it has a start.
    """
    spans: dict[str, _Attempt] = {}
    for entry in entries:
        attempt = spans.setdefault(entry.record.span_id, _Attempt())
        (attempt.closing if entry.rank else attempt.opening).append(entry)

    done: list[_Attempt] = []
    still_open: list[_Attempt] = []
    by_hand: list[_Attempt] = []
    for attempt in spans.values():
        if not attempt.closing:
            still_open.append(attempt)
        elif not attempt.opening:
            by_hand.append(attempt)
        else:
            done.append(attempt)
    done += _pair(still_open, by_hand)
    return sorted(done, key=_place)


def _pair(still_open: list[_Attempt], by_hand: Iterable[_Attempt]) -> list[_Attempt]:
    """Pair each outcome by hand, oldest first, with the newest open attempt that started no later.

    What started before one outcome started before the next one too, so a stack of the attempts that have started has
    the newest open one on top.
    """
    waiting = sorted(still_open, key=_place, reverse=True)
    stack: list[_Attempt] = []
    paired: list[_Attempt] = []
    for ended, _, record in sorted((attempt.ended or 0, attempt.own.id, attempt) for attempt in by_hand):
        while waiting and waiting[-1].at <= ended:
            stack.append(waiting.pop())
        if stack:
            attempt = stack.pop()
            paired.append(_Attempt(attempt.opening, record.closing, by_hand=True))
        else:
            paired.append(record)
    return paired + stack + waiting


def _place(attempt: _Attempt) -> tuple[int, str]:
    return attempt.at, attempt.own.span_id


def _run_status(newest: Sequence[Status]) -> Status:
    if "running" in newest:
        return "running"
    if "error" in newest:
        return "error"
    return "skipped" if set(newest) == {"skipped"} else "success"


def _step_view(step_key: str, number: int, attempt: _Attempt) -> StepView:
    outcome, started, ended, own = attempt.outcome, attempt.started, attempt.ended, attempt.own
    metadata: dict[str, Any] = {}
    for entry in [*attempt.opening, *attempt.closing]:
        metadata.update(entry.record.metadata)
    if outcome is not None:
        metadata.update(outcome.record.metadata)
    return StepView(
        step_key=step_key,
        attempt=number,
        status=attempt.status,
        started_at=None if started is None else to_rfc3339(started),
        ended_at=None if ended is None else to_rfc3339(ended),
        duration_ms=_duration(attempt),
        error=None if outcome is None else outcome.record.error,
        metadata=metadata,
        span_id=own.span_id,
        trace_id=own.trace_id,
        process=own.process,
        parent_span_id=attempt.parent_span_id,
    )


def _duration(attempt: _Attempt) -> float | None:
    """Return the outcome's own duration, else the time between the two records, in milliseconds."""
    outcome, started = attempt.outcome, attempt.started
    if outcome is None:
        return None
    if outcome.record.duration_ms is not None and not attempt.by_hand:
        return max(0.0, outcome.record.duration_ms)
    return None if started is None else _milliseconds(started, outcome.at)


def _milliseconds(start: int, end: int) -> float:
    # A clock that was set back between the two would make this negative.
    return max(0, end - start) / 1000
