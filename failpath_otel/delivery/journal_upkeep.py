"""The journal's care, off the threads of the application: it returns after an outage, moves, is closed, is left."""

import itertools
from dataclasses import dataclass

from failpath_otel import limits
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.sender import Sender
from failpath_otel.journal.journal import Journal
from failpath_otel.report import warn_once
from failpath_otel.runtime.threads import sleep


@dataclass(eq=False)
class JournalUpkeep:
    """Does for the journal of a queue what takes longer than an append. Without a journal, does nothing.

    Has no lock of its own. Every method pauses the sender's attempts while it works, and takes the queue's lock for
    each change of the order.
    """

    queue: RecordQueue
    ledger: Ledger
    sender: Sender
    orphans: OrphanSource | None

    def __post_init__(self) -> None:
        self._journal = self.queue.journal
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin with a process that does not end yet."""
        self._is_last_chance = False

    def tidy(self) -> None:
        """Do what is due: log, unmap, delete, set room aside, and have a journal that has failed tried again."""
        if self._journal is not None and self.sender.try_pause_attempts():
            try:
                self.mend()
                self._resume(self._journal)
                self._journal.maintain()
            finally:
                self.sender.resume_attempts()

    def mend(self) -> None:
        """Begin a new journal where the files of this one were closed or deleted."""
        journal, queue = self._journal, self.queue
        if journal is None or not (journal.has_lost_lock() or journal.is_deleted()):
            return
        with queue.lock:
            if not journal.has_lost_lock():
                journal.start_new_directory()
                return
            found = journal.reopen()
            if found is None:
                return
            # Another process may have found as well what is in memory here, which is better than none of both.
            records, left = found
            queue.stop_journaling()
            queue.memory.put_first(records)
            for batch in self.sender.retries:
                if batch.source is journal:
                    queue.memory.adopt(batch)
            queue.recount()  # also what came past the lock until the end of the old file
            if left:
                queue.taken += left
                queue.skipped = Skipped(left + (queue.skipped.records if queue.skipped else 0), "left")

    def is_due(self) -> bool:
        """Return whether it is time to retry a journal that has failed."""
        queue = self.queue
        if queue.journaling or self._journal is None:
            return False
        return queue.is_refilling or self._is_last_chance or self._journal.outage.may_retry()

    def _resume(self, journal: Journal) -> None:
        """Have the journal take what waits in memory, and all that follows, if that can be tried again."""
        with self.queue.lock:
            journal.write_deferred()
            if journal.deferred and self.queue.journaling:
                self.queue.stop_journaling()  # it cannot be written, which no other record may come to show
        if not self.is_due() or not (self.queue.is_refilling or journal.prepare()):
            return
        with self.queue.lock:
            for batch in self.sender.retries.take_back():  # it comes before what waits in memory
                self.queue.take_back(batch)
            self.queue.is_refilling = True
        self._return()
        journal.maintain()

    def _return(self) -> None:
        """Move what waits in memory into the journal, which can be written again."""
        for moved in itertools.count(1):
            # The lock is taken for each record, so that a thread that records waits for one move at most.
            with self.queue.lock:
                if not self.queue.is_refilling:
                    return
                self.queue.move_one_to_journal()
            if not moved % limits.JOURNAL_SLICE_RECORDS:
                sleep(0)

    def save(self, timeout: float) -> None:
        """Write what waits in memory into the journal, whether or not it is time to try that: the process may end.

        Waits at most ``timeout`` seconds for an attempt that is being made; after that, the delivery thread does it.
        """
        if self._journal is None:
            return
        self._is_last_chance = True
        is_needed = self._journal.deferred or not self.queue.journaling or self._journal.has_lost_lock()
        if is_needed and self.sender.try_pause_attempts(timeout):
            try:
                self.mend()
                self._resume(self._journal)
            finally:
                self.sender.resume_attempts()

    def close_if_empty(self) -> None:
        """Delete this process's journal if nothing is left in it; a later record makes another one."""
        if self._journal is None or self.ledger.settled < self.queue.count():
            return
        # The delivery thread may be tidying up, which is soon over.
        if not self.sender.try_pause_attempts(limits.SCHEDULE_DELAY):
            return
        try:
            self.mend()
            with self.queue.lock:
                remove = self._journal.close_if_empty() if self.ledger.settled == self.queue.recount() else None
            if remove is not None:
                remove()
        finally:
            self.sender.resume_attempts()

    def leave(self) -> None:
        """Leave what waits in the journal to another process, unless some of it is in memory alone."""
        journal, queue = self._journal, self.queue
        if journal is None or not self.sender.try_pause_attempts():
            return
        try:
            with queue.lock:
                if queue.memory.records > 0 or queue.memory.waiting or journal.deferred or journal.has_deleted_files():
                    return
                journal.close_way()
                accepted = queue.recount()
                records = self.ledger.waiting(accepted)
                self.sender.retries.clear()
                queue.skipped = None  # among those that are left, or counted when it happened
                journal.reset_in_child()
                queue.taken = accepted
                due = self.ledger.leave(accepted, accepted, self.sender.failure)
        finally:
            self.sender.resume_attempts()
        if self.orphans is not None:
            self.orphans.release()
        for waiter in due:
            waiter.notify()
        if records:
            text = "Failpath: %d records wait in %s for another process or `failpath-otel drain`: %s."
            # Once for each journal: a program may have several.
            warn_once(f"left records in {journal.path}", text, records, journal.path, self.sender.retries.cause)

    def seal(self) -> None:
        """Give back the room that was set aside in the journal, unless an attempt is being made.

        What becomes of its records is noted in the file that they were read from.
        """
        if self._journal is not None and self.sender.try_pause_attempts(limits.SCHEDULE_DELAY):
            try:
                with self.queue.lock:
                    self._journal.trim()
            finally:
                self.sender.resume_attempts()
