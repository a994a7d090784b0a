"""Builds the page of one run: its view with liveness, its graph and its events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from failpath_otel.local.api.page.answers import LoggedEvent, Neighbour, RunPage, graph_of, row_of
from failpath_otel.local.liveness.monitor import RunLiveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.stack import split_stack
from failpath_otel.local.runs.summary import RunOverview, RunSummary, summarise
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.runs.view import RunView, attempt_numbers, build_run_view, in_order
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.records.record import ErrorInfo, Record

_SPLIT_STACKS: Final = 200
"""The most stacks, the last of a run, that are split into frames."""


def run_page(receiver: Receiver, key: RunKey, heading: tuple[int, str]) -> RunPage | None:
    """Return the page of one run; ``None`` if it was deleted."""
    store = receiver.store
    events = store.events(key)
    if not events:
        return None
    view = build_run_view(events)
    summary = summarise(view, events)
    assessment = receiver.monitor.assess(key.flow_key, summary.attempts)
    details = receiver.flows.details(key.flow_key).with_steps_of(summary.attempts)
    before, after = store.runs.neighbours(key)
    return RunPage(
        *heading,
        run=_run(view, assessment),
        row=row_of(_row(summary, store.runs.row(key)), assessment.run),
        graph=graph_of(details.shape, details.layout, details.steps),
        events=_logged(events, store.received(key)),
        previous=None if before is None else Neighbour(before.run_id),
        next=None if after is None else Neighbour(after.run_id),
        p50_ms={step_key: stats.p50_ms for step_key, stats in details.steps.items() if stats.p50_ms is not None},
        trace_url=receiver.settings.trace_url,
    )


def _run(view: RunView, assessment: RunLiveness) -> dict[str, Any]:
    """Return the run view as JSON, with liveness, and with stacks as frames too."""
    run: dict[str, Any] = msgspec.to_builtins(view)
    run["liveness"] = assessment.run
    for shown, liveness in zip(run["steps"], assessment.attempts, strict=True):
        shown["liveness"] = liveness
    failed = [shown["error"] for shown in run["steps"] if shown["error"] is not None]
    for error in [error for error in failed if error.get("stack") is not None][-_SPLIT_STACKS:]:
        error["frames"] = msgspec.to_builtins(split_stack(error["stack"]))
    return run


def _row(summary: RunSummary, stored: RunRow | None) -> RunRow:
    """Return the row of the events at hand: the stored row of a huge run may be a little older."""
    overview = {name: getattr(summary, name) for name in RunOverview.__struct_fields__}
    return RunRow(**overview, revision=0 if stored is None else stored.revision)


def _logged(events: Sequence[Record], received: Mapping[str, int]) -> list[LoggedEvent]:
    attempts = attempt_numbers(events)
    return [
        LoggedEvent(
            id=event.id,
            timestamp=event.timestamp,
            received_at=to_rfc3339(received[event.id]) if event.id in received else None,
            step_key=event.step_key,
            status=event.status,
            span_id=event.span_id,
            attempt=attempts[event.id],
            duration_ms=event.duration_ms,
            error=None if event.error is None else ErrorInfo(event.error.name, event.error.message),
        )
        for event in in_order(events)
    ]
