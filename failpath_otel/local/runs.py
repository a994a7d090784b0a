"""The runs in a store, as pictures."""

from typing import Final

from failpath_otel.export.record import Status
from failpath_otel.local.store import Store
from failpath_otel.local.view import RunView, picture

_PAGE: Final = 100


def recent_runs(
    store: Store, limit: int, *, flow_key: str | None = None, status: Status | None = None
) -> list[RunView]:
    """Up to ``limit`` runs, the one with the newest event first, of one flow and one status where they are given.

    A status is not stored but follows from a run's events, so a rare one may cost a look at every run.
    """
    found: list[RunView] = []
    offset = 0
    while len(found) < limit:
        keys = store.recent(_PAGE if status else limit, offset=offset, flow_key=flow_key)
        for key in keys:
            run = picture(store.events(key))
            if status is None or run.status == status:
                found.append(run)
        if status is None or len(keys) < _PAGE:
            break
        offset += len(keys)
    return found[:limit]


def find_run(store: Store, run_id: str, *, flow_key: str | None = None) -> RunView | None:
    """The run with this id; where several flows have one, that of ``flow_key`` or the one that was active last."""
    key = store.find(run_id, flow_key=flow_key)
    return None if key is None else picture(store.events(key))
