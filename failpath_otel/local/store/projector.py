"""The projector: works out the rows of the runs that have new events, and tells who listens."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from failpath_otel.local.runs.summary import RunSummary, summarise
from failpath_otel.local.runs.view import picture
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Dirty, Store

_PAUSE_SECONDS: Final = 0.05
"""Between two looks, so that events which come one by one are worked out together."""

_BATCH: Final = 128
"""Runs of one transaction."""

_PATIENCE: Final = 10
"""A run rests so many times as long as its last picture took, if that is longer than the pause."""

_CATCH_UP_SECONDS: Final = 0.1
_FORGET_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


class Projector:
    """Keeps the rows of a store equal to what the events say.

    ``start()`` runs it on a thread, which calls ``on_change`` with the new revision whenever there is one. Without the
    thread, :meth:`catch_up` alone does the work, and nobody is told.
    """

    def __init__(self, store: Store, on_change: Callable[[int], None] | None = None) -> None:
        self._store = store
        self._on_change = on_change
        self._lock = threading.Lock()
        self._resting: dict[RunKey, float] = {}
        self._due: float | None = None
        self._told = store.revision()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="failpath-projector", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; takes a second at most. What is not worked out by then waits for the next start."""
        self._stop.set()
        self._store.stirred.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def catch_up(self) -> None:
        """Works out now, on this thread, what is waiting, so that a list shows what was stored before the call.

        Ends after about 0.1 s also if there is more, and leaves huge runs to the thread, as it does with all if the
        database cannot be written.
        """
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        if not self._store.dirty(1) or not self._lock.acquire(timeout=_CATCH_UP_SECONDS):
            return
        try:
            # A full disk keeps nobody from reading what is there. The thread tries again, and says why it cannot.
            with contextlib.suppress(StoreError):
                while time.monotonic() < deadline and self._project(deadline, huge=False):
                    pass
        finally:
            self._lock.release()
        # The thread tells those who listen.
        self._store.stirred.set()

    def _run(self) -> None:
        stirred = self._store.stirred
        wait: float | None = None
        said: str | None = None
        while not self._stop.is_set():
            stirred.wait(wait)
            if self._stop.is_set():
                return
            stirred.clear()
            try:
                wait = self._look()
                said = None
            except StoreError as error:
                if self._stop.is_set():
                    return
                if said != str(error):
                    # Once, and not with every retry.
                    said = str(error)
                    _log.error("%s", said)
                wait = 0.0
                self._stop.wait(_RETRY_SECONDS)
            self._stop.wait(_PAUSE_SECONDS)

    def _look(self) -> float | None:
        """Does what can be done now and tells of it; returns the seconds until there is more, if that is known."""
        more = True
        while more and not self._stop.is_set():
            with self._lock:
                more = self._project(time.monotonic() + _PAUSE_SECONDS, huge=True)
            self._tell()
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def _tell(self) -> None:
        revision = self._store.revision()
        if revision > self._told:
            self._told = revision
            if self._on_change is not None:
                self._on_change(revision)

    def _project(self, deadline: float, *, huge: bool) -> bool:
        """Works out runs until the time is up, and says whether there are more that need not rest. Needs the lock."""
        waiting = self._waiting(huge=huge)
        done: list[tuple[Dirty, RunSummary | None]] = []
        for dirty in waiting:
            done.append((dirty, self._summary(dirty.run)))
            if time.monotonic() >= deadline:
                break
        if done:
            self._store.put(done)
        return len(done) < len(waiting) or len(done) >= _BATCH

    def _waiting(self, *, huge: bool) -> list[Dirty]:
        """Up to a batch of dirty runs that need not rest: the newest and, if they are too many, the oldest."""
        now = time.monotonic()
        self._resting = {run: until for run, until in self._resting.items() if until + _FORGET_SECONDS > now}
        limit = _BATCH + len(self._resting)
        found = self._store.dirty(limit)
        if len(found) == limit:
            # Under a load that is too high, neither what just happened nor what has waited long may wait for ever.
            found = list(dict.fromkeys([*found[: limit // 2], *self._store.dirty(limit // 2, newest=False), *found]))
        self._due = min((self._resting[run] for run, _ in found if self._resting.get(run, now) > now), default=None)
        return [
            dirty
            for dirty in found
            if self._resting.get(dirty.run, now) <= now and (huge or dirty.run not in self._resting)
        ][:_BATCH]

    def _summary(self, run: RunKey) -> RunSummary | None:
        # The time of this thread alone: on a busy machine every run would seem huge otherwise.
        begin = time.thread_time()
        try:
            events = self._store.events(run)
            return summarise(picture(events), events) if events else None
        except (ValueError, msgspec.DecodeError, RecursionError):
            # Nothing that the receiver accepts gets here, but a file may be damaged: the other runs do not wait.
            _log.exception("run %r of flow %r cannot be shown", run.run_id, run.flow_key)
            return None
        finally:
            rest = _PATIENCE * (time.thread_time() - begin)
            if rest > _PAUSE_SECONDS:
                self._resting[run] = time.monotonic() + rest
            else:
                self._resting.pop(run, None)
