"""The follower: notices what another receiver changes in a store that this one only reads."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import Store

_EVERY_SECONDS: Final = 0.25
_CLOSE_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class Follower:
    """Looks at a store four times a second.

    After ``start()``, ``on_change`` is called on a thread with each new revision, and ``on_deleted`` when runs were
    deleted.
    """

    def __init__(self, store: Store, on_change: Callable[[int], object], on_deleted: Callable[[], object]) -> None:
        self._store = store
        self._on_change = on_change
        self._on_deleted = on_deleted
        self._stop = threading.Event()
        self._seen = self._look()
        self._thread = threading.Thread(target=self._run, name="failpath-follower", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def follow(self) -> None:
        """Look once, on this thread."""
        before, self._seen = self._seen, self._look()
        if before[1] != self._seen[1]:
            self._on_deleted()
        if before[0] != self._seen[0]:
            self._on_change(self._seen[0])

    def _look(self) -> tuple[int, int]:
        return self._store.runs.revision(), self._store.deletions()

    def _run(self) -> None:
        failing = False
        while not self._stop.wait(_EVERY_SECONDS):
            try:
                self.follow()
                failing = False
            except StoreError as error:
                if not failing and not self._stop.is_set():
                    _log.error("%s", error)
                failing = True
