"""What wakes the delivery thread when records come, at the price of one comparison a record."""

from typing import Any

from failpath_otel import limits
from failpath_otel.delivery.receipt import Ticket
from failpath_otel.runtime.threads import Lock


class Wakeup:
    """The state that the queue and the worker share: whether a thread is there, whether it sleeps, and when to wake it.

    Has no lock: all but :meth:`ring` and :meth:`wait` is used under the lock of the queue, so that no record comes
    between the worker's look for one and its sleep.
    """

    def __init__(self) -> None:
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin without a thread."""
        # Free when it is rung. The lock of a condition is not reentrant, and the wait for a queue may not end where
        # signals come, as that of `OneShotEvent`.
        self._bell: Any = Lock()
        self._bell.acquire()
        self.due_at: Ticket = 0
        """The ticket from which on a record calls :meth:`note_arrival`."""
        self.has_thread = False
        """Whether a worker's thread is there."""
        self.asleep = False
        """Whether that thread sleeps until it is woken."""
        self.start_is_due = False
        """Whether records have come and no thread is there: the caller starts one once it has released the lock."""

    def note_arrival(self, accepted: Ticket, taken: Ticket) -> None:
        """Wake the thread if it sleeps or a batch is full, and work out which record is the next to call this."""
        full = taken + limits.MAX_BATCH_RECORDS
        if self.asleep or accepted >= full:
            self.asleep = False
            self.ring()
        self.start_is_due = not self.has_thread
        if self.has_thread:
            self.due_at = full if accepted < full else accepted + limits.MAX_BATCH_RECORDS

    def note_taken(self, taken: Ticket) -> None:
        """Have the record that fills the next batch wake the thread."""
        self.due_at = min(self.due_at, taken + limits.MAX_BATCH_RECORDS)

    def fall_asleep(self) -> None:
        """Have the next record wake the thread."""
        self.asleep = True
        self.due_at = 0

    def thread_has_begun(self) -> None:
        """Note that a thread takes what comes."""
        self.has_thread = True
        self.start_is_due = False

    def thread_has_ended(self) -> None:
        """Have the next record start another thread."""
        self.has_thread = False
        self.due_at = 0

    def ring(self) -> None:
        """Wake the thread; from any thread, and inside of any other call."""
        try:
            self._bell.release()
        except RuntimeError:  # it was rung before, and the thread has not woken yet
            return

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for a ring; return whether there was one."""
        return bool(self._bell.acquire(timeout=seconds))
