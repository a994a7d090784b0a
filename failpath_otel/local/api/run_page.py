"""The page of one run: its picture with what this machine knows of its processes, its graph and its events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from failpath_otel.local.api.answers import LoggedEvent, Neighbour, RunPage, graph_of, moment, row_of
from failpath_otel.local.liveness.monitor import Judgement
from failpath_otel.local.receiver import Parts
from failpath_otel.local.runs.stack import split_stack
from failpath_otel.local.runs.summary import RunOverview, RunSummary, summarise
from failpath_otel.local.runs.view import RunView, attempt_numbers, in_order, picture
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.records.record import ErrorInfo, Record

_SPLIT_STACKS: Final = 200
"""Of a run with more failures only the last stacks are told in frames, and the others as they came."""


def run_page(parts: Parts, key: RunKey, heading: tuple[int, str]) -> RunPage | None:
    """All about one run; ``None`` if it is not there any more."""
    store = parts.store
    events = store.events(key)
    if not events:
        return None
    view = picture(events)
    summary = summarise(view, events)
    judgement = parts.watch.judge(key.flow_key, summary.attempts)
    facts = parts.flows.facts(key.flow_key).beside(summary.attempts)
    before, after = store.neighbours(key)
    return RunPage(
        *heading,
        run=_run(view, judgement),
        row=row_of(_row(summary, store.row(key)), judgement.run),
        graph=graph_of(facts.shape, facts.layout, facts.steps),
        events=_logged(events, store.received(key)),
        previous=None if before is None else Neighbour(before.run_id),
        next=None if after is None else Neighbour(after.run_id),
        p50_ms={step_key: stats.p50_ms for step_key, stats in facts.steps.items() if stats.p50_ms is not None},
        trace_url=parts.settings.trace_url,
    )


def _run(view: RunView, judgement: Judgement) -> dict[str, Any]:
    """The picture as JSON, with the liveness of all that runs, and stacks in frames too."""
    run: dict[str, Any] = msgspec.to_builtins(view)
    run["liveness"] = judgement.run
    for shown, liveness in zip(run["steps"], judgement.attempts, strict=True):
        shown["liveness"] = liveness
    failed = [shown["error"] for shown in run["steps"] if shown["error"] is not None]
    for error in [error for error in failed if error.get("stack") is not None][-_SPLIT_STACKS:]:
        error["frames"] = msgspec.to_builtins(split_stack(error["stack"]))
    return run


def _row(summary: RunSummary, stored: RunRow | None) -> RunRow:
    """The row that follows from the events at hand: of a huge run the stored one may be a moment older."""
    overview = {name: getattr(summary, name) for name in RunOverview.__struct_fields__}
    return RunRow(**overview, revision=0 if stored is None else stored.revision)


def _logged(events: Sequence[Record], received: Mapping[str, int]) -> list[LoggedEvent]:
    numbers = attempt_numbers(events)
    return [
        LoggedEvent(
            id=event.id,
            timestamp=event.timestamp,
            received_at=moment(received[event.id]) if event.id in received else None,
            step_key=event.step_key,
            status=event.status,
            span_id=event.span_id,
            attempt=numbers[event.id],
            duration_ms=event.duration_ms,
            error=None if event.error is None else ErrorInfo(event.error.name, event.error.message),
        )
        for event in in_order(events)
    ]
