"""The queue with a thread that empties it.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import contextvars
from queue import Empty
from time import monotonic
from typing import Any

from failpath_otel import limits
from failpath_otel.delivery.attempts import Attempts
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.sender import Delivering
from failpath_otel.journal.location import JournalLocation
from failpath_otel.options.arguments import OnError
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child, after_fork_in_parent
from failpath_otel.runtime.threads import HAS_GREEN_THREADS, RealThread, SimpleQueue, sleep


class DeliveryThread(Attempts):
    """Sends what is put, in its order; waiting for it is :class:`failpath_otel.delivery.pipeline.Pipeline`'s part."""

    def __init__(
        self,
        delivery: Delivering,
        max_records: int = limits.MAX_QUEUE_RECORDS,
        max_bytes: int = limits.MAX_QUEUE_BYTES,
        schedule_delay: float = limits.SCHEDULE_DELAY,
        *,
        on_error: OnError | None = None,
        journal: JournalLocation | None = None,
    ) -> None:
        self._schedule_delay = schedule_delay
        self._retired = False
        self._released = False
        self._leave_by = 0.0
        super().__init__(delivery, max_records, max_bytes, on_error, journal)
        after_fork_in_child(self._in_child)
        if self._adoption is not None:
            after_fork_in_parent(self._forked)

    def _begin(self) -> None:
        super()._begin()
        self._wake: Any = SimpleQueue()
        self._thread: RealThread | None = None
        self._asleep = False
        self._busy_until = monotonic()

    def _in_child(self) -> None:
        self._begin()
        # It may well be there in the place of one that was killed.
        self.stand_by()

    def _forked(self) -> None:
        if self._adoption is not None and not (self._closed or self._retired):
            self._adoption.forked()
            if self._thread is None:
                self._start_looking()
            else:
                self._wake.put(None)

    def stand_by(self) -> None:
        """:meth:`adopt`, now and as long as this process lives.

        Where there is no journal directory, nothing of others can come: then a thread begins with the first record.
        """
        self.adopt()
        if self._adoption is not None and not self._closed and self._adoption.is_worthwhile():
            self._start_looking()

    def _start_looking(self) -> None:
        # Not by green threads: they would run others in the midst of a fork. These begin with a record.
        if not HAS_GREEN_THREADS:
            self._start()

    def adopt(self) -> None:
        """Looks for what processes have left that are gone, and starts delivering it; without that, does nothing."""
        if self._adoption is not None and not self._closed and self._adoption.look(tidy=False):
            self._wake.put(None)
            self._start()

    def release(self) -> None:
        """Delivers what waits, lets go of the journal and ends the thread: nothing is expected to come any more.

        What comes all the same starts another thread. While the endpoint fails, what is in the journal is left there
        after a while, for another process. The garbage collector calls this anywhere and below any lock, so only a
        note is taken.
        """
        self._leave_by = monotonic() + limits.ABANDON_SECONDS
        self._busy_until = 0.0
        self._released = True
        self._wake.put(None)

    def resume(self) -> None:
        """Takes :meth:`release` back."""
        self._released = False

    def _overflow(self, records: int) -> None:
        super()._overflow(records)
        self._wake.put(None)

    def _leave_journaling(self) -> None:
        super()._leave_journaling()
        self._wake.put(None)

    def _look_after_journal(self) -> None:
        journal = self._journal
        if journal is None or not (journal.has_lost_lock() or journal.is_deleted()):
            return
        with self._lock:
            if not journal.has_lost_lock():
                journal.start_new_directory()
                return
            found = journal.reopen()
            if found is None:
                return
            # Another process may have found as well what is in memory here, which is better than none of both.
            records, left = found
            self._leave_journaling()
            self._memory.waiting.extendleft(reversed(records))
            batches = [batch for batch in self._backlog if batch.source is journal]
            for batch in batches:
                batch.source, batch.size = None, batch.length
            self._memory.size += sum(map(len, records)) + sum(batch.size for batch in batches)
            self._memory.records += len(records) + sum(len(batch.records) for batch in batches)
            if left:
                self._taken += left
                self._skipped = Skipped(left + (self._skipped.records if self._skipped else 0), "left")

    def _arrived(self) -> None:
        if self._asleep or self._untaken >= limits.MAX_BATCH_RECORDS:
            self._asleep = False
            self._wake.put(None)
        self._unattended = self._thread is None
        if self._thread is not None:
            full = self._taken + limits.MAX_BATCH_RECORDS
            self._heed_at = full if self._accepted < full else self._accepted + limits.MAX_BATCH_RECORDS

    def _start(self) -> None:
        thread: RealThread | None = None
        try:
            with self._lock:
                self._unattended = False
                if self._thread is not None:
                    return
                self._thread = thread = RealThread(self._work, "failpath-delivery")
                if self._released:
                    self._leave_by = monotonic() + limits.ABANDON_SECONDS
            # Not under the lock: this waits for the new thread, on which a garbage collection may end a step first.
            # Not in the context of whichever step happened to come first: tracers hand theirs on to new threads.
            contextvars.Context().run(thread.start)
        except BaseException as error:
            if thread is not None and self._thread is thread:
                self._thread = None
            if not isinstance(error, RuntimeError):
                raise  # Ctrl-C or a time limit; should it have begun all the same, it ends by itself
            # The interpreter is ending, or there are no threads left; the next record tries again.

    # On the delivery thread.

    def _work(self) -> None:
        while not self._is_done():
            try:
                self._await_records()
                self._report_overflow()
                self._backlog.speak()
                self._tidy_journal()
                if (self._released or self._closed) and self._backlog.failing and monotonic() >= self._leave_by:
                    self._leave_records()
                if self._adoption is not None and self._adoption.is_due() and not (self._retired or self._released):
                    self._adoption.look(failing=self._backlog.failing)
                while self._has_work() and not self._backlog.pause():
                    self._attempt()
                    if self._is_journal_due or (self._adoption is not None and self._adoption.is_due()):
                        break
                    if not (self._backlog or self._adoption or self._is_urgent()):
                        break
            except BaseException:  # noqa: BLE001 - the thread must outlive any fault, of a logging handler as well
                exception_once("delivering records")
                sleep(self._schedule_delay)  # and must not take a processor for itself, should the fault stay
        self._delivery.close()
        self._leave_journal()

    def _has_work(self) -> bool:
        return bool(self._untaken or self._backlog or self._skipped or self._adoption)

    def _is_urgent(self) -> bool:
        """Whether somebody waits, or a batch is full, whatever the endpoint finds full at the moment."""
        return self._hurry > 0 or self._urgent > 0 or self._full or self._untaken >= limits.MAX_BATCH_RECORDS

    def _is_done(self) -> bool:
        with self._lock:
            if self._thread is None or not self._thread.is_current():
                return True
            if self._untaken or self._backlog or self._skipped or not (self._closed or self._retired):
                return False
            if self._adoption is not None:
                self._adoption.let_go()
            self._thread = None  # an outcome that comes later starts another one
            self._heed_at = 0
            return True

    def _sleep(self) -> bool:
        """Sleeps until there is a record; after a long time with none this thread ends, and the next starts another.

        Where there is a journal directory it does not end, but looks every now and then for journals whose processes
        are gone.

        Returns:
            Whether this thread goes on.
        """
        if self._released and self._ends():
            return False
        idle_until = monotonic() + limits.IDLE_SECONDS
        rested = False
        while True:
            try:
                self._wake.get(timeout=limits.IDLE_SECONDS if self._adoption is None else self._adoption.seconds)
                break
            except Empty:
                if self._journal is not None and self._journal.has_lost_lock():
                    break  # before another process, or this one, takes it for one of a process that is gone
                if self._adoption is not None:
                    if self._adoption.look(failing=self._backlog.failing) or self._is_journal_due:
                        break
                    idle = monotonic() >= idle_until
                    worthwhile = self._adoption.is_worthwhile()
                    if idle and worthwhile and not rested:
                        rested = True
                        self._delivery.close()
                        self._leave_journal()  # what was delivered need not stay on the disk
                    if worthwhile or (self._accepted and not idle):
                        continue
            if self._ends():
                return False
        self._asleep = False
        return not (self._released and self._ends())

    def _ends(self) -> bool:
        """Lets go of this thread, unless there is something to do."""
        with self._lock:
            self._asleep = False
            if not self._has_work():
                self._thread = None
                self._heed_at = 0
                return True
        return False

    def _await_records(self) -> None:
        """Waits for the schedule delay, less if somebody flushes or a batch is full, and more if nothing happens.

        While there is something to do, records need not wake this thread, which would cost their thread a system
        call; only after a while with nothing it sleeps until it is woken. While the endpoint fails, this waits for the
        next attempt.
        """
        delay = self._schedule_delay
        if self._has_work():
            self._busy_until = monotonic() + limits.POLLING_SECONDS
            pause = self._backlog.pause()
            due = self._backlog or self._adoption or self._is_urgent()
            if pause:
                delay = min(pause, self._backlog.silence(), limits.ORPHAN_SCAN_SECONDS)
            elif due or self._closed or self._retired:
                return
        elif self._closed or self._retired:
            return
        elif monotonic() >= self._busy_until:
            with self._lock:
                self._asleep = not self._untaken
                self._heed_at = 0 if self._asleep else self._heed_at
            if self._asleep and not self._sleep():
                return
            self._busy_until = monotonic() + limits.POLLING_SECONDS
            if self._hurry or self._urgent:
                return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=delay)
