"""The runs of a receiver, as pictures, with what this machine knows of those that run."""

from typing import Final

from msgspec.structs import replace

from failpath_otel import semconv
from failpath_otel.local.receiver import Parts
from failpath_otel.local.runs.summary import summarise
from failpath_otel.local.runs.view import RunView, picture
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.records.record import Record, Status

_PAGE: Final = 100


def recent_runs(
    parts: Parts, limit: int, *, flow_key: str | None = None, status: Status | None = None
) -> list[RunView]:
    """Up to ``limit`` runs, the one with the newest event first, of one flow and one status where they are given."""
    parts.catch_up()
    store = parts.store
    found: list[RunView] = []
    before: tuple[int, str, str] | None = None
    while len(found) < limit:
        rows = store.rows(
            min(limit, _PAGE), before=before, flow_key=flow_key, statuses=None if status is None else [status]
        )
        for row in rows:
            # Events may have come, or gone, since the rows were read.
            events = store.events(row.key)
            run = _picture(parts, row.key, events) if events else None
            if run is not None and status in (None, run.status):
                found.append(run)
        if not rows:
            break
        before = (rows[-1].active_at, rows[-1].flow_key, rows[-1].run_id)
    return found[:limit]


def find_run(parts: Parts, run_id: str, *, flow_key: str | None = None) -> RunView | None:
    """The run with this id; where several flows have one, that of ``flow_key`` or the one that was active last."""
    key = parts.store.find(run_id, flow_key=flow_key)
    events = [] if key is None else parts.store.events(key)
    return _picture(parts, key, events) if key is not None and events else None


def _picture(parts: Parts, key: RunKey, events: list[Record]) -> RunView:
    view = picture(events)
    if all(step.status != semconv.STATUS_RUNNING for step in view.steps):
        return view
    judgement = parts.watch.judge(key.flow_key, summarise(view, events).attempts)
    steps = [replace(step, liveness=liveness) for step, liveness in zip(view.steps, judgement.attempts, strict=True)]
    return replace(view, liveness=judgement.run, steps=steps)
