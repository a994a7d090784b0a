"""Run views with liveness, for ``/api/runs`` and ``failpath-otel runs``."""

from typing import Final

from msgspec.structs import replace

from failpath_otel import semconv
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.summary import summarise
from failpath_otel.local.runs.view import RunView, build_run_view
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.records.record import Record, Status

_PAGE: Final = 100


def recent_runs(
    receiver: Receiver, limit: int, *, flow_key: str | None = None, status: Status | None = None
) -> list[RunView]:
    """Return up to ``limit`` runs, the newest event first, filtered by flow and status where given."""
    receiver.catch_up()
    store = receiver.store
    found: list[RunView] = []
    before: tuple[int, str, str] | None = None
    while len(found) < limit:
        rows = store.runs.rows(
            min(limit, _PAGE), before=before, flow_key=flow_key, statuses=None if status is None else [status]
        )
        for row in rows:
            # Events may have been stored or deleted since the rows were read.
            events = store.events(row.key)
            run = _run_view(receiver, row.key, events) if events else None
            if run is not None and status in (None, run.status):
                found.append(run)
        if not rows:
            break
        before = (rows[-1].active_at, rows[-1].flow_key, rows[-1].run_id)
    return found[:limit]


def find_run(receiver: Receiver, run_id: str, *, flow_key: str | None = None) -> RunView | None:
    """Return the run with this id, of ``flow_key`` or else the one that was active last."""
    key = receiver.store.find(run_id, flow_key=flow_key)
    events = [] if key is None else receiver.store.events(key)
    return _run_view(receiver, key, events) if key is not None and events else None


def _run_view(receiver: Receiver, key: RunKey, events: list[Record]) -> RunView:
    view = build_run_view(events)
    if all(step.status != semconv.STATUS_RUNNING for step in view.steps):
        return view
    assessment = receiver.monitor.assess(key.flow_key, summarise(view, events).attempts)
    steps = [replace(step, liveness=liveness) for step, liveness in zip(view.steps, assessment.attempts, strict=True)]
    return replace(view, liveness=assessment.run, steps=steps)
