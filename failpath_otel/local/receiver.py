"""The parts of a running receiver, joined: what one of them notices, the others hear of."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from failpath_otel.local.api.stream import Changes
from failpath_otel.local.flows.flows import Flows
from failpath_otel.local.flows.flows_file import find_flows_file
from failpath_otel.local.liveness.liveness import Processes
from failpath_otel.local.liveness.monitor import Watch
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.pruning import DEFAULT_DAYS, DEFAULT_MEBIBYTES, Pruner
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.records.rules import StepRule


@dataclass(frozen=True)
class Settings:
    """What a user decides: the file with the shapes of flows, a link to traces, how many days and MiB are kept.

    And the rules that say which spans are steps that do not say so themselves.
    """

    flows: Path | None = None
    trace_url: str | None = None
    days: float = DEFAULT_DAYS
    mebibytes: float = DEFAULT_MEBIBYTES
    rules: Sequence[StepRule] | None = None


class Parts:
    """All that works on one store. ``clock`` says the time in microseconds since the epoch.

    Raises ``FlowsFileError`` for a file with flows that cannot be read. The store stays the caller's to close.
    """

    def __init__(self, store: Store, clock: Callable[[], int], settings: Settings | None = None) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings or Settings()
        self.changes = Changes()
        self.declared = find_flows_file(self.settings.flows)
        self.flows = Flows(store, self.declared)
        self.projector = Projector(store, self.changes.notify)
        self.watch = Watch(store, self.flows.p95_ms, Processes().is_gone, self._liveness_changed, clock=clock)
        self.pruner = Pruner(
            store, clock, days=self.settings.days, mebibytes=self.settings.mebibytes, on_pruned=self.runs_deleted
        )

    def start(self) -> None:
        """Starts the threads that work out rows, look after what runs, and delete what is old."""
        self.projector.start()
        self.watch.start()
        self.pruner.start()

    def close(self) -> None:
        """Ends the threads and all streams; takes two seconds at most."""
        self.changes.close()
        self.pruner.close()
        self.watch.close()
        self.projector.close()

    def catch_up(self) -> None:
        """Makes the rows of what was stored before the call.

        Where the database cannot be written, because another process does, they follow later: what can be read is
        better than no answer.
        """
        with contextlib.suppress(StoreError):
            self.projector.catch_up()

    def runs_deleted(self, _runs: int = 0) -> None:
        """Forgets what was known of runs that are not there any more."""
        self.flows.forget()
        self.watch.reset()
        self.changes.reset()

    def _liveness_changed(self, runs: Collection[RunKey]) -> None:
        # What a run is now is not stored, but that it is another thing than before has to reach those who listen.
        self.changes.notify(self.store.touch(runs))
