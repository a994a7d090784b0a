"""What wakes the delivery thread when records come, at the price of one comparison a record."""

from typing import Any

from failpath_otel import limits
from failpath_otel.runtime.threads import Lock


class Wakeup:
    """The state that the queue and the worker share: whether a thread is there, whether it sleeps, and when to wake it.

    Has no lock. A record is stored before :attr:`quiet` is read; the worker sets that before it looks for records and
    then sleeps or ends. So one of the two sees the other.
    """

    def __init__(self) -> None:
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin without a thread."""
        # Free when it is rung. The lock of a condition is not reentrant, and the wait for a queue may not end where
        # signals come, as that of `OneShotEvent`.
        self._bell: Any = Lock()
        self._bell.acquire()
        self.quiet = True
        """Whether the next record calls :meth:`note_arrival`, because the thread sleeps or there is none."""
        self.due_at = 0
        """The number of the record from which on others call it as well, because a batch is full."""
        self.has_thread = False
        """Whether a worker's thread is there."""
        self.asleep = False
        """Whether that thread sleeps until it is woken."""
        self.start_is_due = False
        """Whether records have come and no thread is there: the caller starts one once it has released the lock."""

    def note_arrival(self, accepted: int, taken: int) -> None:
        """Wake the thread if it sleeps or a batch is full, and work out which record is the next to call this.

        Args:
            accepted: how many records were accepted, about.
            taken: how many were taken.
        """
        full = taken + limits.MAX_BATCH_RECORDS
        self.due_at = full if accepted < full else accepted + limits.MAX_BATCH_RECORDS
        self.quiet = False
        if not self.has_thread:  # asked after that, or its end would be missed
            self.quiet = self.start_is_due = True
            return
        if self.asleep or accepted >= full:
            try:
                self.asleep = False
            finally:
                self.ring()

    def note_taken(self, taken: int) -> None:
        """Have the record that fills the next batch wake the thread."""
        self.due_at = min(self.due_at, taken + limits.MAX_BATCH_RECORDS)

    def fall_asleep(self) -> None:
        """Have the next record wake the thread, which looks for records after this and before it sleeps."""
        self.asleep = self.quiet = True

    def wake_up(self) -> None:
        """Have records come without waking the thread."""
        self.asleep = self.quiet = False

    def thread_has_begun(self) -> None:
        """Note that a thread takes what comes."""
        self.has_thread = True
        self.start_is_due = self.quiet = False

    def thread_has_ended(self) -> None:
        """Have the next record start another thread; the one that ends looks for records after this."""
        self.has_thread = False
        self.quiet = True

    def ring(self) -> None:
        """Wake the thread; from any thread, and inside of any other call."""
        try:
            self._bell.release()
        except RuntimeError:  # it was rung before, and the thread has not woken yet
            return

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for a ring; return whether there was one."""
        return bool(self._bell.acquire(timeout=seconds))
