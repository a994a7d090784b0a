"""Run views with liveness, for ``/api/runs``, ``/api/changes`` and ``failpath-otel runs``."""

from typing import Final

from msgspec.structs import replace

from failpath_otel import semconv
from failpath_otel.local.api.cursor import cursor_text
from failpath_otel.local.api.scripts.run_filter import RunFilter
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.summary import summarise
from failpath_otel.local.runs.view import RunList, RunView, build_run_view
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.time_range import TimeRange
from failpath_otel.records.record import Record

_PAGE: Final = 100


def recent_runs(
    receiver: Receiver, limit: int, wanted: RunFilter, before: tuple[int, str, str] | None = None
) -> RunList:
    """Return up to ``limit`` runs that pass the filter, the newest event first, from the one behind ``before``."""
    receiver.catch_up()
    store = receiver.store
    current = receiver.monitor.current(imported=True) if wanted.reads_liveness else None
    found: list[RunView] = []
    last = (0, "", "")
    while True:
        rows = store.runs.rows(
            # A row costs little beside the events of its run, and of those that run few may be wanted.
            _PAGE if wanted.reads_liveness else min(limit + 1, _PAGE),
            before=before,
            flow_key=wanted.flow_key,
            statuses=wanted.stored_statuses,
            within=TimeRange(wanted.since),
            meta=wanted.meta,
        )
        for row in rows:
            run = view_of(receiver, row.key) if wanted.takes_row(row, current) else None
            # Events may have been stored since the row was read.
            if run is not None and wanted.takes(run):
                if len(found) == limit:
                    return RunList(found, cursor_text(last))
                found.append(run)
                last = row.place
        if not rows:
            return RunList(found)
        before = rows[-1].place


def find_run(receiver: Receiver, run_id: str, *, flow_key: str | None = None) -> RunView | None:
    """Return the run with this id, of ``flow_key`` or else the one that was active last."""
    key = receiver.store.find(run_id, flow_key=flow_key)
    return None if key is None else view_of(receiver, key)


def view_of(receiver: Receiver, key: RunKey) -> RunView | None:
    """Return the view of a run as it is now; ``None`` where its events have been deleted."""
    events = receiver.store.events(key)
    return _run_view(receiver, key, events) if events else None


def _run_view(receiver: Receiver, key: RunKey, events: list[Record]) -> RunView:
    view = build_run_view(events)
    if all(step.status != semconv.STATUS_RUNNING for step in view.steps):
        return view
    assessment = receiver.assess(key, summarise(view, events).attempts)
    steps = [
        replace(step, liveness=liveness, process_is_here=here)
        for step, liveness, here in zip(view.steps, assessment.attempts, assessment.here, strict=True)
    ]
    return replace(view, liveness=assessment.run, steps=steps)
