"""The logs of a run: those in its traces that are of it, and not of another run there."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from failpath_otel.local.logs.attachment import Attacher, Attachment, Parent
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.logs import StoredLog
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store

_RUNS_BESIDE: Final = 50
"""Runs that share a trace with the run, of which is known which logs are theirs."""


class AttachedLogs(NamedTuple):
    """The newest logs of a run in order of time, and how many more there were in its traces."""

    logs: list[tuple[StoredLog, Attachment]]
    left_out: int


def attached_logs(
    store: Store, run: RunKey, attempts: Sequence[AttemptSummary], parent: Parent, limit: int
) -> AttachedLogs:
    """Return the logs of a run with these attempts, out of the newest ``limit`` in its traces."""
    found = store.logs.of_run(run, limit)
    if not found.logs:
        return AttachedLogs([], found.left_out)
    beside = store.runs.stored(store.logs.beside(run, _RUNS_BESIDE))
    attacher = Attacher(attempts, [attempt for other in beside for attempt in other.attempts], parent)
    attached = zip(found.logs, attacher.attach(found.logs), strict=True)
    return AttachedLogs([(log, its) for log, its in attached if its is not None], found.left_out)
