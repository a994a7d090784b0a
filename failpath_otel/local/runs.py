"""The runs in a store, as pictures."""

from typing import Final

from failpath_otel.export.record import Status
from failpath_otel.local.projector import Projector
from failpath_otel.local.store import Store
from failpath_otel.local.view import RunView, picture

_PAGE: Final = 100


def recent_runs(
    store: Store, limit: int, *, flow_key: str | None = None, status: Status | None = None
) -> list[RunView]:
    """Up to ``limit`` runs, the one with the newest event first, of one flow and one status where they are given."""
    Projector(store).catch_up()
    found: list[RunView] = []
    before: tuple[int, str, str] | None = None
    while len(found) < limit:
        rows = store.rows(
            min(limit, _PAGE), before=before, flow_key=flow_key, statuses=None if status is None else [status]
        )
        for row in rows:
            # Events may have come, or gone, since the rows were read.
            events = store.events(row.key)
            run = picture(events) if events else None
            if run is not None and status in (None, run.status):
                found.append(run)
        if not rows:
            break
        before = (rows[-1].active_at, rows[-1].flow_key, rows[-1].run_id)
    return found[:limit]


def find_run(store: Store, run_id: str, *, flow_key: str | None = None) -> RunView | None:
    """The run with this id; where several flows have one, that of ``flow_key`` or the one that was active last."""
    key = store.find(run_id, flow_key=flow_key)
    events = [] if key is None else store.events(key)
    return picture(events) if events else None
