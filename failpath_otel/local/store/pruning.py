"""Pruning: deletes runs that are too old or too many, the oldest first."""

import logging
import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Final

from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.defaults import DEFAULT_DAYS, DEFAULT_MEBIBYTES
from failpath_otel.local.store.store import Store

_EVERY_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.01
"""Between two transactions, so that senders are not blocked."""

_CLOSE_SECONDS: Final = 0.5
_MICROSECONDS_A_DAY: Final = 86_400_000_000
_MEBIBYTE: Final = 1 << 20

_log: Final = logging.getLogger(__name__)


@dataclass(eq=False)
class Pruner:
    """Keeps a store within ``days`` and ``mebibytes`` (MiB of the file that are in use), but for pinned runs.

    ``clock`` returns microseconds since the epoch. ``start()`` prunes on a thread, at once and then every minute, and
    calls ``on_pruned`` there with the number of deleted runs, if any.
    """

    store: Store
    clock: Callable[[], int]
    _: KW_ONLY
    days: float = DEFAULT_DAYS
    mebibytes: float = DEFAULT_MEBIBYTES
    on_pruned: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._unreported = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="failpath-pruner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, which leaves what it has not pruned to the next time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def prune(self) -> int:
        """Prune once, on this thread, and return the number of deleted runs."""
        before = self.clock() - round(self.days * _MICROSECONDS_A_DAY)
        pruned = self._delete(lambda: before)
        limit = self._size_limit()
        pruned += self._delete(lambda: None if self.store.size_of_runs() > limit else 0)
        for _ in self.store.logs.delete_stale(before):
            if self._stop.wait(_PAUSE_SECONDS):
                break
        while pruned and not self._stop.is_set() and self.store.shrink():
            self._stop.wait(_PAUSE_SECONDS)
        return pruned

    def _size_limit(self) -> float:
        """Return the bytes that may be in use: pinned runs leave at least half of the limit to the others."""
        limit = self.mebibytes * _MEBIBYTE
        return max(limit, self.store.pins.size() + limit / 2)

    def _delete(self, before: Callable[[], int | None]) -> int:
        """Delete the oldest runs that received nothing since a time, which is computed before each transaction."""
        pruned = 0
        while not self._stop.is_set():
            gone, more = self.store.delete_oldest(before())
            pruned += gone
            self._unreported += gone
            if not more:
                break
            self._stop.wait(_PAUSE_SECONDS)
        return pruned

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.prune()
            except StoreError as error:
                if self._stop.is_set():
                    return
                _log.error("%s", error)
            # Also those before an error.
            pruned, self._unreported = self._unreported, 0
            if pruned and self.on_pruned is not None:
                self.on_pruned(pruned)
            self._stop.wait(_EVERY_SECONDS)
