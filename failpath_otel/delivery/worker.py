"""The thread that empties the queue, and when it wakes (decision 0001)."""

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic

from failpath_otel import limits
from failpath_otel.delivery.attempts import Attempts
from failpath_otel.delivery.journal_upkeep import JournalUpkeep
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.sender import Sender
from failpath_otel.delivery.wakeup import Wakeup
from failpath_otel.report import exception_once
from failpath_otel.runtime.threads import HAS_GREEN_THREADS, RealThread, sleep


@dataclass(eq=False)
class Worker:
    """Has attempts made on a thread of its own, which is there while there is something to do, or may be soon.

    Has no lock of its own; looks whether it may sleep or end under the lock of the queue, so that no record comes in
    between.
    """

    queue: RecordQueue
    wakeup: Wakeup
    sender: Sender
    attempts: Attempts
    upkeep: JournalUpkeep
    orphans: OrphanSource | None
    close: Callable[[], object]
    schedule_delay: float

    def __post_init__(self) -> None:
        self._is_retired = False
        self._is_released = False
        self._leave_by = 0.0
        self.owner: Callable[[], object] = lambda: None
        """A weak reference to what has to live as long as the thread does."""
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin without a thread."""
        self.thread: RealThread | None = None
        """The thread, while it is there."""
        self._busy_until = monotonic()

    # From any thread.

    def start(self) -> None:
        """Start the thread, unless it is there; without the lock, which the new thread may want."""
        thread: RealThread | None = None
        try:
            with self.queue.lock:
                self.wakeup.start_is_due = False
                if self.thread is not None:
                    return
                self.thread = thread = RealThread(partial(self._work, self.owner()), "failpath-delivery")
                self.wakeup.thread_has_begun()
                if self._is_released:
                    self._leave_by = monotonic() + limits.ABANDON_SECONDS
            # Not under the lock: this waits for the new thread, on which a garbage collection may end a step first.
            # Not in the context of the step that came first: tracers hand theirs on to new threads.
            contextvars.Context().run(thread.start)
        except BaseException as error:
            if thread is not None and self.thread is thread:
                self._has_ended()
            if not isinstance(error, RuntimeError):
                raise  # Ctrl-C or a time limit; should it have begun all the same, it ends by itself
            # The interpreter is ending, or there are no threads left; the next record tries again.

    def start_if_real(self) -> None:
        """Start the thread before there is a record, unless it would be a green one.

        That would run other green threads in the midst of a fork; it begins with a record.
        """
        if not HAS_GREEN_THREADS:
            self.start()

    def retire(self) -> None:
        """End the thread whenever there is nothing to send: only outcomes of steps that are open will follow."""
        self._is_retired = True
        self.wakeup.ring()

    def end(self) -> None:
        """Close the queue, and end the thread once it has nothing left to send."""
        self._leave_by = monotonic() + limits.ABANDON_SECONDS  # first, or it leaves its records at once
        with self.queue.lock:
            self.queue.closed = True
        self.wakeup.ring()

    def release(self) -> None:
        """Send what waits, let go of the journal and end the thread: nothing is expected to come any more.

        What comes all the same starts another thread. While the endpoint fails, what is in the journal is left there
        after a while, for another process. The garbage collector calls this anywhere and below any lock, so it only
        takes notes.
        """
        self._leave_by = monotonic() + limits.ABANDON_SECONDS
        self._busy_until = 0.0
        self._is_released = True
        self.wakeup.ring()

    def resume(self) -> None:
        """Take :meth:`release` back."""
        self._is_released = False

    @property
    def is_ending(self) -> bool:
        """Whether the thread ends as soon as there is nothing to send."""
        return self.queue.closed or self._is_retired

    # On the thread.

    def _work(self, _owner: object) -> None:
        retries = self.sender.retries
        while not self._is_done():
            try:
                self._await_records()
                self.attempts.report_evicted()
                retries.log_outage()
                self.upkeep.tidy()
                is_parting = self._is_released or self.queue.closed
                if is_parting and retries.failing and monotonic() >= self._leave_by:
                    self.upkeep.leave()
                if self._is_scan_due() and not (self._is_retired or self._is_released):
                    self._scan()
                while self.attempts.has_work() and not retries.pause():
                    self.attempts.make()
                    if self.upkeep.is_due() or self._is_scan_due():
                        break
                    if not (retries or self.orphans or self.attempts.is_urgent()):
                        break
            except BaseException:  # noqa: BLE001 - the thread must outlive any fault, of a logging handler as well
                exception_once("delivering records")
                sleep(self.schedule_delay)  # and must not take a processor for itself, should the fault stay
        self.close()
        self.upkeep.close_if_empty()

    def _is_scan_due(self) -> bool:
        return self.orphans is not None and self.orphans.is_due()

    def _scan(self) -> bool:
        return self.orphans is not None and self.orphans.scan(failing=self.sender.retries.failing)

    def _is_done(self) -> bool:
        with self.queue.lock:
            if self.thread is None or not self.thread.is_current():
                return True
            if self.queue.untaken or self.sender.retries or self.queue.skipped or not self.is_ending:
                return False
            if self.orphans is not None:
                self.orphans.release()
            self._has_ended()  # an outcome that comes later starts another one
            return True

    def _has_ended(self) -> None:
        self.thread = None
        self.wakeup.thread_has_ended()

    def _sleep(self) -> bool:
        """Sleep until there is a record; after a long time with none this thread ends, and the next starts another.

        Where there is a journal directory it does not end, but looks every now and then for journals whose processes
        are gone.

        Returns:
            Whether this thread goes on.
        """
        if self._is_released and self._ends():
            return False
        orphans, journal = self.orphans, self.queue.journal
        idle_until = monotonic() + limits.IDLE_SECONDS
        is_tidied = False
        while not self.wakeup.wait(limits.IDLE_SECONDS if orphans is None else orphans.seconds):
            if journal is not None and journal.has_lost_lock():
                break  # before another process, or this one, takes it for one of a process that is gone
            if orphans is not None:
                if self._scan() or self.upkeep.is_due():
                    break
                is_idle = monotonic() >= idle_until
                is_worthwhile = orphans.is_worthwhile()
                if is_idle and is_worthwhile and not is_tidied:
                    is_tidied = True
                    self.close()
                    self.upkeep.close_if_empty()  # what was delivered need not stay on the disk
                if is_worthwhile or (self.queue.accepted and not is_idle):
                    continue
            if self._ends():
                return False
        self.wakeup.asleep = False
        return not (self._is_released and self._ends())

    def _ends(self) -> bool:
        """Let go of this thread, unless there is something to do."""
        with self.queue.lock:
            self.wakeup.asleep = False
            if not self.attempts.has_work():
                self._has_ended()
                return True
        return False

    def _await_records(self) -> None:
        """Wait for the schedule delay, less if there are waiters or a batch is full, and more if nothing happens.

        While there is something to do, records need not wake this thread, which would cost their thread a system
        call; only after a while with nothing it sleeps until it is woken. While the endpoint fails, this waits for the
        next attempt.
        """
        delay, retries = self.schedule_delay, self.sender.retries
        if self.attempts.has_work():
            self._busy_until = monotonic() + limits.POLLING_SECONDS
            pause = retries.pause()
            if pause:
                delay = min(pause, retries.outage_log_delay(), limits.ORPHAN_SCAN_SECONDS)
            elif retries or self.orphans or self.attempts.is_urgent() or self.is_ending:
                return
        elif self.is_ending:
            return
        elif monotonic() >= self._busy_until:
            with self.queue.lock:
                is_empty = not self.queue.untaken
                if is_empty:
                    self.wakeup.fall_asleep()
            if is_empty and not self._sleep():
                return
            self._busy_until = monotonic() + limits.POLLING_SECONDS
            if self.attempts.has_waiters():
                return
        self.wakeup.wait(delay)
