"""Builds the page of one run: its view with liveness, its graph and its events."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from failpath_otel.local.api.page.answers import (
    EventPage,
    Graph,
    ImportNote,
    LoggedEvent,
    Neighbour,
    RunPage,
    StepLine,
    StepPage,
    graph_of,
    row_of,
)
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.liveness.monitor import RunLiveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.stack import split_stack
from failpath_otel.local.runs.summary import AttemptSummary, RunOverview, RunSummary, summarise
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.runs.view import RunView, attempt_numbers, build_run_view, in_order
from failpath_otel.local.store.run_row import RunKey, RunRow, StoredRun
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record

WHOLE_EVENTS: Final = 1_000
"""The most events of a run that is sent whole. Of a longer one metadata, stacks and events are asked for in parts."""

_SPLIT_STACKS: Final = 200
"""The most stacks, the last of a run, that are split into frames."""

_LISTED_PROCESSES: Final = 100


@dataclass(frozen=True)
class _Found:
    """What a run consists of: ``run`` and ``events`` as they are in the answer."""

    run: dict[str, Any]
    row: RunRow
    attempts: Sequence[AttemptSummary]
    assessment: RunLiveness
    events: list[LoggedEvent] | None


def run_page(receiver: Receiver, key: RunKey, heading: tuple[int, str], *, whole: bool = False) -> RunPage | None:
    """Return the page of one run, in parts if it is long and not asked for ``whole``; ``None`` if it was deleted."""
    count = receiver.store.event_log.count(key)
    whole = whole or count <= WHOLE_EVENTS
    found = _whole(receiver, key) if whole else _lines(receiver, key)
    if found is None:
        return None
    details = receiver.flows.details(key.flow_key).with_steps_of(found.attempts)
    before, after = receiver.store.runs.neighbours(key)
    return RunPage(
        *heading,
        whole=whole,
        run=found.run,
        row=row_of(found.row, found.assessment.run),
        graph=_graph(details, receiver.monitor.gone_steps(key.flow_key)),
        events=found.events,
        event_count=count if found.events is None else len(found.events),
        processes=_processes(found.attempts),
        trace_id=next((attempt.trace_id for attempt in found.attempts if attempt.trace_id.strip("0")), None),
        previous=None if before is None else Neighbour(before.run_id),
        next=None if after is None else Neighbour(after.run_id),
        p50_ms={step_key: stats.p50_ms for step_key, stats in details.steps.items() if stats.p50_ms is not None},
        trace_url=receiver.settings.trace_url,
        imported=_import_note(receiver.store, key),
        clock_ahead_ms=receiver.store.event_log.clock_ahead_ms(key),
    )


def _import_note(store: Store, key: RunKey) -> ImportNote | None:
    imported = store.imports.get(key)
    if imported is None:
        return None
    return ImportNote(to_rfc3339(imported.imported_at), to_rfc3339(imported.as_of), imported.mixed)


def event_page(receiver: Receiver, key: RunKey, heading: tuple[int, str], offset: int, limit: int) -> EventPage:
    """Return a part of the events of a run."""
    log = receiver.store.event_log
    total = log.count(key)
    stored = log.page(key, offset, limit)
    records = [event.record for event in stored]
    received = {event.record.id: event.received_at for event in stored}
    events = _logged(records, received, _attempt_numbers(receiver.store, key, records))
    return EventPage(*heading, offset=offset, total=total, events=events)


def step_page(
    receiver: Receiver, key: RunKey, heading: tuple[int, str], step_key: str, span_id: str
) -> StepPage | None:
    """Return an attempt of a step, named by its span; ``None`` if there is none."""
    events = receiver.store.event_log.of_step(key, step_key)
    if not events:
        return None
    # An attempt follows from the events of its step alone.
    view = build_run_view(events)
    assessment = receiver.assess(key, summarise(view, events).attempts)
    steps = _run(view, assessment)["steps"]
    return next((StepPage(*heading, step=step) for step in steps if step["spanId"] == span_id), None)


def _whole(receiver: Receiver, key: RunKey) -> _Found | None:
    store = receiver.store
    events = store.events(key)
    if not events:
        return None
    view = build_run_view(events)
    summary = summarise(view, events)
    assessment = receiver.assess(key, summary.attempts)
    logged = _logged(in_order(events), store.received(key), attempt_numbers(events))
    return _Found(
        _run(view, assessment),
        _row(summary, store.runs.row(key), receiver.clock()),
        summary.attempts,
        assessment,
        logged,
    )


def _lines(receiver: Receiver, key: RunKey) -> _Found | None:
    stored = _projected(receiver.store, key)
    if stored is None:
        events = receiver.store.events(key)
        if not events:
            return None
        summary = summarise(build_run_view(events), events)
        stored = StoredRun(_row(summary, receiver.store.runs.row(key), receiver.clock()), summary.attempts)
    row, attempts = stored
    assessment = receiver.assess(key, attempts)
    run = {
        "runId": row.run_id,
        "flowKey": row.flow_key,
        "status": row.status,
        "liveness": assessment.run,
        "startedAt": to_rfc3339(row.started),
        "endedAt": None if row.ended is None else to_rfc3339(row.ended),
        "durationMs": row.duration_ms,
        "steps": list(_step_lines(attempts, assessment)),
    }
    return _Found(run, row, attempts, assessment, None)


def _projected(store: Store, key: RunKey) -> StoredRun | None:
    """Return the stored run if it shows all of its events."""
    # In this order: what arrives in between makes the row newer than was asked for.
    return next(iter(store.runs.stored([key])), None) if store.event_log.is_projected(key) else None


def _step_lines(attempts: Sequence[AttemptSummary], assessment: RunLiveness) -> Iterator[StepLine]:
    observed = zip(_numbered(attempts), attempts, assessment.attempts, assessment.here, strict=True)
    for number, attempt, liveness, here in observed:
        name, message = attempt.error_name, attempt.error_message
        yield StepLine(
            step_key=attempt.step_key,
            attempt=number,
            status=attempt.status,
            span_id=attempt.span_id,
            started_at=None if attempt.started is None else to_rfc3339(attempt.started),
            ended_at=None if attempt.ended is None else to_rfc3339(attempt.ended),
            duration_ms=attempt.duration_ms,
            error=None if name is None else ErrorInfo(name, message or ""),
            process=attempt.process if liveness is not None else None,
            liveness=liveness,
            parent_span_id=attempt.parent,
            still=assessment.still,
            process_is_here=here,
        )


def _numbered(attempts: Iterable[AttemptSummary]) -> Iterator[int]:
    """Return the number of each attempt among those of its step."""
    counts: Counter[str] = Counter()
    for attempt in attempts:
        counts[attempt.step_key] += 1
        yield counts[attempt.step_key]


def _attempt_numbers(store: Store, key: RunKey, records: Iterable[Record]) -> Mapping[str, int]:
    """Return the number of each event's attempt by the event's id."""
    stored = _projected(store, key)
    if stored is not None:
        attempts = stored.attempts
        known = {
            (attempt.step_key, attempt.span_id): number
            for attempt, number in zip(attempts, _numbered(attempts), strict=True)
        }
        numbers = {record.id: known.get((record.step_key, record.span_id)) for record in records}
        found = {event_id: number for event_id, number in numbers.items() if number is not None}
        if len(found) == len(numbers):
            return found
    # An outcome by hand has another span than its attempt, which follows from all events.
    return attempt_numbers(store.events(key))


def _graph(details: FlowDetails, gone: Mapping[RunKey, Collection[str]]) -> Graph:
    shape = details.shape
    if shape.listed:
        # Of such a run, the list of its steps is all there is.
        return Graph(0, 0, shape.declared, listed=True, nodes=[], edges=[])
    return graph_of(details, gone)


def _processes(attempts: Iterable[AttemptSummary]) -> list[ProcessInfo]:
    """Return each process once, in the order in which they first appear."""
    found: dict[tuple[int, str], ProcessInfo] = {}
    for attempt in attempts:
        if attempt.process is not None:
            found.setdefault((attempt.process.pid, attempt.process.host), attempt.process)
    return list(found.values())[:_LISTED_PROCESSES]


def _run(view: RunView, assessment: RunLiveness) -> dict[str, Any]:
    """Return the run view as JSON, with liveness, and with stacks as frames too."""
    run: dict[str, Any] = msgspec.to_builtins(view)
    run["liveness"] = assessment.run
    for shown, liveness, here in zip(run["steps"], assessment.attempts, assessment.here, strict=True):
        shown |= {"liveness": liveness, "processIsHere": here}
        if assessment.still:
            shown["still"] = True
    failed = [shown["error"] for shown in run["steps"] if shown["error"] is not None]
    for error in [error for error in failed if error.get("stack") is not None][-_SPLIT_STACKS:]:
        error["frames"] = msgspec.to_builtins(split_stack(error["stack"]))
    return run


def _row(summary: RunSummary, stored: RunRow | None, now: int) -> RunRow:
    """Return the row of the events at hand: the stored row of a huge run may be a little older."""
    overview = {name: getattr(summary, name) for name in RunOverview.__struct_fields__}
    # As in the store, where the clock of a sender is ahead.
    overview["active_at"] = min(summary.active_at, now)
    if stored is None:
        return RunRow(**overview, revision=0)
    return replace(stored, **overview)


def _logged(events: Iterable[Record], received: Mapping[str, int], attempts: Mapping[str, int]) -> list[LoggedEvent]:
    return [
        LoggedEvent(
            id=event.id,
            timestamp=event.timestamp,
            received_at=to_rfc3339(received[event.id]) if event.id in received else None,
            step_key=event.step_key,
            status=event.status,
            span_id=event.span_id,
            attempt=attempts.get(event.id, 1),
            duration_ms=event.duration_ms,
            error=None if event.error is None else ErrorInfo(event.error.name, event.error.message),
        )
        for event in events
    ]
