"""Which flows there are, and when each has changed last, by the revisions of its runs: what caches compare."""

import threading
from typing import Final, NamedTuple

from failpath_otel.local.store.store import Store

_MAX_CHANGES: Final = 5_000
"""The most changed runs that are read; after more, every flow counts as changed."""


class Stamp(NamedTuple):
    """The state of a flow: equal to an older one if nothing has changed since."""

    epoch: int
    revision: int


class FlowRevisions:
    """The newest revision of each flow. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._epoch = 0
        self._revision = 0
        self._flows: dict[str, int] = {}
        self._keys: dict[str, None] | None = None
        self._begun = False

    def flow_keys(self) -> list[str]:
        """Return the flows that have runs."""
        with self._lock:
            self._catch_up()
            if self._keys is None:
                # Ten thousand take a tenth of a second, and hardly ever is there another one.
                self._keys = dict.fromkeys(self._store.runs.flow_keys())
            return list(self._keys)

    def stamp(self, flow_key: str) -> Stamp:
        """Return the state of a flow now."""
        with self._lock:
            self._catch_up()
            return Stamp(self._epoch, self._flows.get(flow_key, 0))

    def state(self) -> Stamp:
        """Return the state of all flows together."""
        with self._lock:
            self._catch_up()
            return Stamp(self._epoch, self._revision)

    def changed_after(self, state: Stamp) -> set[str] | None:
        """Return the flows that have changed since a state of all; ``None`` if that may be any."""
        with self._lock:
            self._catch_up()
            if state.epoch != self._epoch:
                return None
            return {flow_key for flow_key, revision in self._flows.items() if revision > state.revision}

    def reset(self) -> None:
        """Let every flow count as changed, because runs were deleted. Reads nothing, and so cannot fail."""
        with self._lock:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._epoch += 1
        self._flows.clear()
        self._keys = None

    def _catch_up(self) -> None:
        if not self._begun:
            self._begun = True
            self._revision = self._store.runs.revision()
            return
        changed = self._store.flows.changed(self._revision, _MAX_CHANGES)
        if len(changed) == _MAX_CHANGES:
            self._begin_anew()
            self._revision = self._store.runs.revision()
        elif changed:
            self._flows.update(changed)
            if self._keys is not None:
                self._keys.update(dict.fromkeys(flow_key for flow_key, _ in changed))
            self._revision = changed[-1][1]
