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
    """Makes attempts on a thread of its own, which runs while there is something to do, or soon may be.

    Has no lock of its own; before it sleeps or ends it has records wake it, and then looks for some once more.
    """

    queue: RecordQueue
    wakeup: Wakeup
    sender: Sender
    attempts: Attempts
    upkeep: JournalUpkeep
    orphans: OrphanSource | None
    close_connections: Callable[[], object]
    schedule_delay: float

    def __post_init__(self) -> None:
        self._is_retired = False
        self._is_released = False
        self._abandon_at = 0.0
        self.owner: Callable[[], object] = lambda: None
        """A weak reference to an object that the thread keeps alive."""
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin without a thread."""
        self.thread: RealThread | None = None
        """The thread; ``None`` while there is none."""
        self._polls_until = monotonic()

    # From any thread.

    def start(self) -> None:
        """Start the thread, unless it runs. Call it without the lock, which the new thread may want."""
        thread: RealThread | None = None
        try:
            with self.queue.lock:
                self.wakeup.start_is_due = False
                if self.thread is not None:
                    return
                self.thread = thread = RealThread(partial(self._work, self.owner()), "failpath-delivery")
                self.wakeup.thread_has_begun()
                if self._is_released:
                    self._abandon_at = monotonic() + limits.ABANDON_SECONDS
            # Not under the lock: this waits for the new thread, on which a garbage collection may end a step first.
            # Not in the context of the step that came first: tracers hand theirs on to new threads.
            contextvars.Context().run(thread.start)
        except BaseException as error:
            if thread is not None:
                with self.queue.lock:
                    if self.thread is thread:
                        self._forget_thread()
            if not isinstance(error, RuntimeError):
                raise  # Ctrl-C or a time limit; a thread that has begun all the same ends by itself
            # The interpreter is ending, or there are no threads left; the next record tries again.

    def start_if_real(self) -> None:
        """Start the thread before there is a record, unless it would be a green one.

        A green thread would let others run in the midst of a fork; it is started by the first record.
        """
        if not HAS_GREEN_THREADS:
            self.start()

    def retire(self) -> None:
        """End the thread whenever there is nothing to send: only outcomes of steps that are open will follow."""
        self._is_retired = True
        self.wakeup.ring()

    def end(self) -> None:
        """Close the queue, and end the thread once it has nothing left to send."""
        self._abandon_at = monotonic() + limits.ABANDON_SECONDS  # first: a closed queue without it is left at once
        with self.queue.lock:
            self.queue.close()
        self.wakeup.ring()

    def release(self) -> None:
        """Send what waits, release the journal and end the thread: no more records are expected.

        A record that comes all the same starts another thread. While the endpoint fails, what is in the journal is left
        there after a while, for another process. The garbage collector calls this anywhere and below any lock, so it
        only takes notes.
        """
        self._abandon_at = monotonic() + limits.ABANDON_SECONDS
        self._polls_until = 0.0
        self._is_released = True
        self.wakeup.ring()

    def resume(self) -> None:
        """Undo :meth:`release`."""
        self._is_released = False

    @property
    def is_ending(self) -> bool:
        """Whether the thread ends as soon as there is nothing to send."""
        return self.queue.closed or self._is_retired

    # On the thread.

    def _work(self, _owner: object) -> None:
        retries = self.sender.retries
        while not self._end_if_done():
            try:
                self._await_records()
                self.attempts.report_evicted()
                retries.log_outage()
                self.upkeep.tidy()
                may_abandon = self._is_released or self.queue.closed
                if may_abandon and retries.failing and monotonic() >= self._abandon_at:
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
                sleep(self.schedule_delay)  # so that a fault that stays does not keep a processor busy
        self.close_connections()
        self.upkeep.close_if_empty()

    def _is_scan_due(self) -> bool:
        return self.orphans is not None and self.orphans.is_due()

    def _scan(self) -> bool:
        return self.orphans is not None and self.orphans.scan(failing=self.sender.retries.failing)

    def _end_if_done(self) -> bool:
        with self.queue.lock:
            if self.thread is None or not self.thread.is_current():
                return True
            if not self.is_ending or self._has_own_work() or not self._try_to_end(self._has_own_work):
                return False
            if self.orphans is not None:
                self.orphans.release()
            return True

    def _has_own_work(self) -> bool:
        return bool(self.queue.untaken or self.sender.retries or self.queue.skipped)

    def _try_to_end(self, has_work: Callable[[], bool]) -> bool:
        """Forget this thread, so that a record that comes later starts another one; return whether none has come."""
        thread = self.thread
        self._forget_thread()
        if has_work():  # a record came past the lock, and perhaps before that
            self.thread = thread
            self.wakeup.thread_has_begun()
        return self.thread is None

    def _forget_thread(self) -> None:
        self.thread = None
        self.wakeup.thread_has_ended()

    def _sleep(self) -> bool:
        """Sleep until there is a record; after a long time with none this thread ends, and the next starts another.

        Where there is a journal directory, it does not end, and scans for orphans at intervals.

        Returns:
            Whether this thread goes on.
        """
        if self._is_released:
            return not self._end_if_idle()  # a record that came just now wakes nothing
        orphans, journal = self.orphans, self.queue.journal
        idle_until = monotonic() + limits.IDLE_SECONDS
        is_tidied = False
        while not self.wakeup.wait(limits.IDLE_SECONDS if orphans is None else orphans.seconds):
            if self.queue.untaken:
                break  # an exception of a signal handler came in the place of a ring
            if journal is not None and journal.has_lost_lock():
                break  # before another process, or this one, takes the journal for an orphan
            if orphans is not None:
                if self._scan() or self.upkeep.is_due():
                    break
                is_idle = monotonic() >= idle_until
                is_worthwhile = orphans.is_worthwhile()
                if is_idle and is_worthwhile and not is_tidied:
                    is_tidied = True
                    self.close_connections()
                    self.upkeep.close_if_empty()
                if is_worthwhile or (self.queue.accepted and not is_idle):
                    continue
            return not self._end_if_idle()  # as above
        self.wakeup.wake_up()
        return not (self._is_released and self._end_if_idle())

    def _end_if_idle(self) -> bool:
        """End this thread, unless there is something to do; return whether it ends."""
        with self.queue.lock:
            self.wakeup.wake_up()
            return not self.attempts.has_work() and self._try_to_end(self.attempts.has_work)

    def _await_records(self) -> None:
        """Wait for the schedule delay; less if there are waiters or a batch is full, more while nothing happens.

        While there is something to do, this polls, because waking it costs the recording thread a system call. After
        a while with nothing to do, it sleeps until it is woken. While the endpoint fails, it waits for the next
        attempt.
        """
        delay, retries = self.schedule_delay, self.sender.retries
        if self.attempts.has_work():
            self._polls_until = monotonic() + limits.POLLING_SECONDS
            pause = retries.pause()
            if pause:
                delay = min(pause, retries.outage_log_delay(), limits.ORPHAN_SCAN_SECONDS)
            elif retries or self.orphans or self.attempts.is_urgent() or self.is_ending:
                return
        elif self.is_ending:
            return
        elif monotonic() >= self._polls_until:
            self.wakeup.fall_asleep()
            if self.queue.untaken:
                self.wakeup.wake_up()
            elif not self._sleep():
                return
            self._polls_until = monotonic() + limits.POLLING_SECONDS
            if self.attempts.ledger.waiter_count:
                return
        self.wakeup.wait(delay)
