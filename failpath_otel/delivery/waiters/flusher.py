"""Waiting until records are delivered, on a thread of the application."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from failpath_otel.delivery.attempts import Attempts
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.receipt import Ticket
from failpath_otel.delivery.sender import Sender
from failpath_otel.delivery.waiters.waiters import Notify, Waiter
from failpath_otel.delivery.wakeup import Wakeup
from failpath_otel.delivery.worker import Worker
from failpath_otel.errors import DeliveryError
from failpath_otel.runtime.threads import OneShotEvent, can_block, is_held_here

Tickets = tuple[Ticket, Ticket]
"""The first and the last of the records that a wait is about."""


@dataclass(eq=False)
class Flusher:
    """Waits for records, and has them sent at once.

    Has no lock, and waits while it holds none. A signal handler or a finaliser that waits in the midst of a call of
    this package that holds a lock would wait for itself; then no wait begins.
    """

    queue: RecordQueue
    ledger: Ledger
    sender: Sender
    attempts: Attempts
    worker: Worker
    wakeup: Wakeup

    def watch(
        self, notify: Notify, *, of_attempt: bool = False, tickets: Tickets | None = None, whole_batch: bool = False
    ) -> Callable[[], None] | None:
        """Call ``notify`` from the delivery thread once everything accepted so far is settled; have it sent at once.

        Args:
            notify: called once, with ``None`` or with the error of the first record of ``tickets`` that is lost.
            of_attempt: do not wait for records that are kept for a retry: a failed attempt is enough.
            tickets: wait for these records. Default: for the last one.
            whole_batch: wait for records that are sent again in parts, also where an attempt is enough.

        Returns:
            A function that ends the wait; ``None`` where there is nothing to wait for.
        """
        retries = self.sender.retries
        first, last = self.numbers_of(tickets)
        # While the endpoint fails, the next attempt is one that is planned, and is not waited for. Nor is the end of a
        # pause after others were sent in parts, unless for the whole batch.
        if of_attempt and self._is_pause(whole_batch=whole_batch):
            return None
        waiter = Waiter(first, last, notify, of_attempt=of_attempt, whole_batch=whole_batch)

        def cancel() -> None:
            self.ledger.discard(waiter)

        try:
            if not self.ledger.add(waiter):
                return None
            if not of_attempt:
                retries.retry_now()
            elif self._is_pause(whole_batch=whole_batch):  # which has begun just now
                cancel()
                return None
            self.wakeup.ring()
            self.worker.start()
        except BaseException:  # Ctrl-C or a time limit: the caller does not wait, and cannot end the wait
            cancel()
            raise
        return cancel

    def _is_pause(self, *, whole_batch: bool) -> bool:
        retries = self.sender.retries
        return bool(retries.pause()) and (retries.failing or not whole_batch)

    def send_now(self) -> None:
        """Have what waits sent, without waiting for it."""
        self.watch(lambda _: None)

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until everything accepted so far is delivered.

        Returns:
            Whether nothing at all was lost since the process began, and nothing of that still waits.
        """
        return self._wait(timeout, of_attempt=False) == (True, None) and self.ledger.is_lossless

    def await_attempt(
        self, timeout: float, tickets: Tickets | None = None, *, whole_batch: bool = False
    ) -> tuple[bool, DeliveryError | None]:
        """Wait at most ``timeout`` seconds until everything accepted so far was sent, or an attempt has failed.

        Args:
            timeout: seconds.
            tickets: report losses of these records. Default: of the last one.
            whole_batch: what is sent again in parts counts as one attempt.

        Returns:
            Whether it came to that in time, and the error of the first of these records that is not delivered.
        """
        return self._wait(timeout, of_attempt=True, tickets=tickets, whole_batch=whole_batch)

    def would_wait_in_vain(self, timeout: float) -> bool:
        """Return whether the server has asked for a pause longer than ``timeout`` seconds, and records wait."""
        return not self.ledger.is_settled(self.queue.count()) and self.sender.retries.retry_after_left() > timeout

    def is_held_up_here(self) -> bool:
        """Return whether this thread holds up what it would wait for, in a call further up its stack."""
        thread = self.worker.thread
        return (
            (thread is not None and thread.is_current())
            or is_held_here(self.ledger.lock)
            or self.sender.is_held_up_here()
            or not can_block()
        )

    def _wait(
        self, timeout: float, *, of_attempt: bool, tickets: Tickets | None = None, whole_batch: bool = False
    ) -> tuple[bool, DeliveryError | None]:
        """Return whether it was settled in time, and the error with which :meth:`watch` ends the wait."""
        deadline = monotonic() + timeout
        if self.is_held_up_here() or self.would_wait_in_vain(timeout):
            return False, self.sender.failure
        tickets = self.numbers_of(tickets)
        errors: list[DeliveryError | None] = []
        is_over = OneShotEvent()

        def notify(error: DeliveryError | None) -> None:
            errors.append(error)
            is_over.set()

        cancel = self.watch(notify, of_attempt=of_attempt, tickets=tickets, whole_batch=whole_batch)
        if cancel is None:
            return self.outcome(tickets)
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self.worker.thread is None and self.attempts.has_work() and not errors and monotonic() < deadline:
                if not is_over.wait(min(self.sender.retries.pause(), max(deadline - monotonic(), 0))):
                    left = deadline - monotonic()
                    if left > 0:
                        self.attempts.make(left)
            in_time = is_over.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time, errors[0] if errors else None

    def outcome(self, tickets: Tickets | None = None) -> tuple[bool, DeliveryError | None]:
        """Return whether these records are settled, by default all, and the error of the first that is lost."""
        first, last = self.numbers_of(tickets)
        if self.ledger.is_settled(last):
            return True, self.ledger.loss_of(first, last)
        failure = self.sender.failure
        # A failure without a retry was about another record.
        return False, failure if failure is not None and failure.retrying else None

    def numbers_of(self, tickets: Tickets | None) -> tuple[int, int]:
        """Return the numbers of these records, by default of the last one; those of numbers are themselves.

        Who waits asks once: what is delivered has no place in the journal any more.
        """
        if tickets is None:
            last = self.queue.count()
            return last, last
        return self.queue.number_of(tickets[0]), self.queue.number_of(tickets[1])
