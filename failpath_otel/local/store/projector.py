"""The projector: keeps the row of each run up to date with its events, and reports changes."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from failpath_otel.local.runs.summary import RunSummary, summarise
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import DirtyRun, Store

_PAUSE_SECONDS: Final = 0.05
"""The pause between two rounds, so that events which come one by one are projected together."""

_BATCH: Final = 128
"""Runs of one transaction."""

_REST_FACTOR: Final = 10
"""A huge run, whose projection takes long, is projected again only after this many times that duration."""

_CATCH_UP_SECONDS: Final = 0.1
_FORGET_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


class Projector:
    """Keeps the rows of a store up to date with its events.

    ``start()`` starts a thread, which calls ``on_change`` with each new revision. Without the thread, only
    :meth:`catch_up` updates rows, and ``on_change`` is not called.
    """

    def __init__(self, store: Store, on_change: Callable[[int], None] | None = None) -> None:
        self._store = store
        self._on_change = on_change
        self._lock = threading.Lock()
        self._resting: dict[RunKey, float] = {}
        self._next_due: float | None = None
        self._notified = store.runs.revision()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="failpath-projector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; takes a second at most. DirtyRun runs are left to the next start."""
        self._stop.set()
        self._store.work_available.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def catch_up(self) -> None:
        """Project dirty runs on this thread, so that a list shows what was stored before the call.

        Ends after about 0.1 s. The rest, and huge runs, are left to the thread, as is everything while the database
        cannot be written.
        """
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        if not self._store.dirty(1) or not self._lock.acquire(timeout=_CATCH_UP_SECONDS):
            return
        try:
            # A full disk must not prevent reading. The thread retries, and logs the reason.
            with contextlib.suppress(StoreError):
                while time.monotonic() < deadline and self._project(deadline, huge=False):
                    pass
        finally:
            self._lock.release()
        # The thread notifies.
        self._store.work_available.set()

    def _run(self) -> None:
        work_available = self._store.work_available
        wait: float | None = None
        logged: str | None = None
        while not self._stop.is_set():
            work_available.wait(wait)
            if self._stop.is_set():
                return
            work_available.clear()
            try:
                wait = self._run_round()
                logged = None
            except StoreError as error:
                if self._stop.is_set():
                    return
                if logged != str(error):
                    logged = str(error)
                    _log.error("%s", logged)
                wait = 0.0
                self._stop.wait(_RETRY_SECONDS)
            self._stop.wait(_PAUSE_SECONDS)

    def _run_round(self) -> float | None:
        """Project the runs that are due, and report the revision; return the seconds until more are due, if known."""
        more = True
        while more and not self._stop.is_set():
            with self._lock:
                more = self._project(time.monotonic() + _PAUSE_SECONDS, huge=True)
            self._notify()
        return None if self._next_due is None else max(0.0, self._next_due - time.monotonic())

    def _notify(self) -> None:
        revision = self._store.runs.revision()
        if revision > self._notified:
            self._notified = revision
            if self._on_change is not None:
                self._on_change(revision)

    def _project(self, deadline: float, *, huge: bool) -> bool:
        """Project runs until the deadline, with ``huge`` huge ones too; return whether more are due. Under the lock."""
        waiting = self._waiting(huge=huge)
        done: list[tuple[DirtyRun, RunSummary | None]] = []
        for dirty in waiting:
            done.append((dirty, self._summary(dirty.run)))
            if time.monotonic() >= deadline:
                break
        if done:
            self._store.save_summaries(done)
        return len(done) < len(waiting) or len(done) >= _BATCH

    def _waiting(self, *, huge: bool) -> list[DirtyRun]:
        """Return up to a batch of dirty runs that are due: the newest and, if they are too many, the oldest."""
        now = time.monotonic()
        self._resting = {run: until for run, until in self._resting.items() if until + _FORGET_SECONDS > now}
        limit = _BATCH + len(self._resting)
        found = self._store.dirty(limit)
        if len(found) == limit:
            # Under overload, neither the newest nor the oldest runs may starve.
            found = list(dict.fromkeys([*found[: limit // 2], *self._store.dirty(limit // 2, newest=False), *found]))
        self._next_due = min(
            (self._resting[run] for run, _ in found if self._resting.get(run, now) > now), default=None
        )
        return [
            dirty
            for dirty in found
            if self._resting.get(dirty.run, now) <= now and (huge or dirty.run not in self._resting)
        ][:_BATCH]

    def _summary(self, run: RunKey) -> RunSummary | None:
        # CPU time, because by the clock every run would seem huge on a busy machine.
        begin = time.thread_time()
        try:
            events = self._store.events(run)
            return summarise(build_run_view(events), events) if events else None
        except (ValueError, msgspec.DecodeError, RecursionError):
            # No accepted event gets here, but a file may be damaged: the other runs must not wait.
            _log.exception("run %r of flow %r cannot be shown", run.run_id, run.flow_key)
            return None
        finally:
            rest = _REST_FACTOR * (time.thread_time() - begin)
            if rest > _PAUSE_SECONDS:
                self._resting[run] = time.monotonic() + rest
            else:
                self._resting.pop(run, None)
