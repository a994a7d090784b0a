"""The pipeline: the way from a finished record to Failpath, made of parts that have each other (decision 0030)."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.admission import Admission
from failpath_otel.delivery.at_exit import drain_at_exit
from failpath_otel.delivery.attempts import Attempts
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.journal_upkeep import JournalUpkeep
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.memory import Memory
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.sender import DeliveryClient, NullClient, Sender
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.waiters.flusher import Flusher
from failpath_otel.delivery.wakeup import Wakeup
from failpath_otel.delivery.worker import Worker
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.journal.location import JournalLocation
from failpath_otel.options.arguments import OnError
from failpath_otel.options.options import Options
from failpath_otel.runtime.forking import after_fork_in_child, after_fork_in_parent
from failpath_otel.runtime.threads import sleep_cooperatively


class Pipeline:
    """Takes encoded records on any thread, never blocks on the network, and delivers them in their order.

    Owns its parts; has no lock, and no logic but the order in which they are used. The methods that every step calls
    are those of the parts themselves, which saves a call.

    Args:
        delivery: sends one batch.
        max_records: how many records may wait in memory.
        max_bytes: how many bytes of them.
        schedule_delay: seconds that a record may wait for others to travel with.
        on_error: called with each loss and each outage, on a thread of its own.
        journal: where the journal is; ``None``: there is none.
        memory: where records wait that are in no journal.
        after_put: called after each record while there is no thread, in place of starting one.
    """

    def __init__(
        self,
        delivery: DeliveryClient,
        max_records: int = limits.MAX_QUEUE_RECORDS,
        max_bytes: int = limits.MAX_QUEUE_BYTES,
        schedule_delay: float = limits.SCHEDULE_DELAY,
        *,
        on_error: OnError | None = None,
        journal: JournalLocation | None = None,
        memory: Memory | None = None,
        after_put: Callable[[], object] | None = None,
    ) -> None:
        self.callback: Final = ErrorCallback(on_error)
        self.ledger: Final = Ledger(self.callback)
        self.wakeup: Final = Wakeup()
        self.queue: Final = RecordQueue(self.ledger, self.wakeup, journal, memory)
        ledger, queue, wakeup = self.ledger, self.queue, self.wakeup
        binding = "" if journal is None else journal.binding
        sender = Sender(delivery, lambda: ledger.dropped, queue.confirm, binding)
        self.sender: Final = sender
        self.orphans: Final = None if journal is None else OrphanSource(*journal, report=self.callback.call)
        self.upkeep: Final = JournalUpkeep(queue, ledger, sender, self.orphans)
        self.attempts: Final = Attempts(
            queue=queue, ledger=ledger, sender=sender, upkeep=self.upkeep, orphans=self.orphans, callback=self.callback
        )
        self.worker: Final = Worker(
            queue=queue,
            wakeup=wakeup,
            sender=sender,
            attempts=self.attempts,
            upkeep=self.upkeep,
            orphans=self.orphans,
            close_connections=delivery.close,
            schedule_delay=schedule_delay,
        )
        self.worker.owner = weakref.ref(self)
        self.admission: Final = Admission(
            queue=queue,
            ledger=ledger,
            wakeup=wakeup,
            start=after_put or self.worker.start,
            is_failing=lambda: sender.retries.failing,
            max_records=max_records,
            max_bytes=max_bytes,
        )
        self.flusher: Final = Flusher(
            queue=queue, ledger=ledger, sender=sender, attempts=self.attempts, worker=self.worker, wakeup=wakeup
        )

        # Without a journal nothing passes the lock.
        admission = self.admission
        self.put_start: Final = admission.put_start_locked if journal is None else admission.put_start
        self.put_outcome: Final = admission.put_outcome_locked if journal is None else admission.put_outcome
        self.put: Final = self.admission.put
        self.put_together: Final = self.admission.put_together
        self.flush: Final = self.flusher.flush
        self.await_attempt: Final = self.flusher.await_attempt

        after_fork_in_child(self._reset_in_child)
        if self.orphans is not None:
            after_fork_in_parent(self._after_fork)

    def _reset_in_child(self) -> None:
        self.ledger.reset_in_child()
        self.wakeup.reset_in_child()
        self.queue.reset_in_child()
        self.sender.reset_in_child()
        if self.orphans is not None:
            self.orphans.reset_in_child()
        self.upkeep.reset_in_child()
        self.attempts.reset_in_child()
        self.admission.reset_in_child()
        self.worker.reset_in_child()
        # It may replace a process that was killed, and whose journal is an orphan.
        self.stand_by()

    def _after_fork(self) -> None:
        if self.orphans is not None and not self.worker.is_ending:
            self.orphans.forked()
            if self.worker.thread is None:
                self.worker.start_if_real()
            else:
                self.wakeup.ring()

    def stand_by(self) -> None:
        """Look for the journals of gone processes, now and as long as this process lives.

        Without a journal directory there can be no orphans: then the first record starts the thread.
        """
        self.adopt()
        if self.orphans is not None and not self.queue.closed and self.orphans.is_worthwhile():
            self.worker.start_if_real()

    def adopt(self) -> None:
        """Look for the journals of gone processes, and start delivering what is there."""
        if self.orphans is not None and not self.queue.closed and self.orphans.scan(tidy=False):
            self.wakeup.ring()
            self.worker.start()

    # What became of records.

    @property
    def stuck(self) -> bool:
        """Whether the last attempt has failed, and its records wait for a retry."""
        return self.sender.retries.failing and bool(self.sender.retries)

    def stats(self) -> Stats:
        """Return the counts at this moment."""
        journal = self.queue.journal
        with self.queue.lock:
            stats = self.ledger.stats(self.queue.recount())
            begins = self.queue.waiting_since(), self.sender.retries.waiting_since(self.sender.in_flight)
            size = None if journal is None else journal.waiting_bytes()
        if stats.waiting:
            now = monotonic()
            age = max((max(now - since, 0.0) for since in begins if since is not None), default=0.0)
            stats = replace(stats, oldest_waiting_seconds=age)
        stats = replace(stats, journal_bytes=size)
        return stats if self.orphans is None else self.orphans.add_counts(stats)

    @property
    def max_records(self) -> int | None:
        """How many records may wait; ``None`` with a journal, which is bounded in bytes."""
        return self.admission.max_records if self.queue.journal is None else None

    def take_error(self) -> DeliveryError | None:
        """Return the first loss since the last call; where there is none, the failure that is being retried.

        Skip an error that a step has raised already.
        """
        found = self.ledger.take_first_loss() or (self.sender.failure if self.stats().waiting else None)
        return found if found is not None and not found.raised else None

    # The end of the process.

    def send_before_exit(self, timeout: float) -> None:
        """Send what waits, wait at most ``timeout`` seconds for one attempt, and delete an empty journal.

        Do nothing while the endpoint fails, or in the midst of a call of this package: the records wait for the next
        process.
        """
        if timeout > 0 and not self.sender.retries.failing and not self.flusher.is_held_up_here():
            self.await_attempt(timeout)
            self.upkeep.close_if_empty()

    def deliver_orphans(self, timeout: float) -> None:
        """Deliver what gone processes have left, for at most ``timeout`` seconds, and while the endpoint takes it."""
        if self.orphans is None:
            return
        deadline = monotonic() + timeout
        self.adopt()
        retries = self.sender.retries
        while self.orphans and not retries.failing and (left := deadline - monotonic()) > 0:
            if self.worker.thread is None:  # no thread can be started any more
                self.attempts.make(left)
            else:
                sleep_cooperatively(limits.EXIT_POLL)
        is_failing = retries.failing and not (self.ledger.delivered or self.orphans.delivered)
        # Programs that all end soon never see how long delivery has failed.
        if self.orphans and is_failing and self.sender.try_pause_attempts():
            try:
                self.orphans.scan(failing=True, last=True)
            finally:
                self.sender.resume_attempts()

    @property
    def undelivered(self) -> tuple[int, int, str]:
        """How many of the records that wait outlive the process, how many do not, and where the first are."""
        journal = self.queue.journal
        with self.queue.lock:
            # At one instant: daemon threads may still record, and an answer may arrive.
            waiting = self.ledger.waiting(self.queue.recount())
            if journal is None or journal.has_deleted_files():
                return 0, waiting, ""
            lost = min(max(self.queue.memory.records, 0) + len(journal.deferred), waiting)
            return waiting - lost, lost, journal.path

    def close_at_exit(self) -> None:
        """Delete the journal if nothing waits; else pass what is lost with the process to ``on_error``."""
        self.upkeep.close_if_empty()
        self.upkeep.seal()
        lost = self.undelivered[1]
        if lost:
            status = None if self.sender.failure is None else self.sender.failure.status
            self.callback.call(SendError("the process ended before they could be delivered", lost, status))

    def shutdown(self, timeout: float) -> bool:
        """Flush, then accept no more records, and end the thread once it has nothing left to send."""
        complete = self.flush(timeout)
        self.upkeep.save(limits.EXIT_POLL)
        self.worker.end()
        self.upkeep.close_if_empty()
        return complete


def pipeline_to_failpath(options: Options) -> Pipeline:
    """Return the pipeline that ``options`` describe, flushed at the end of the interpreter."""
    if not options.enabled:
        return Pipeline(NullClient())
    # Here, because HTTP takes long to import, and is needed for deliveries only.
    from failpath_otel.delivery.http.client import HttpClient  # noqa: PLC0415

    pipeline = Pipeline(
        HttpClient(options),
        max_records=options.max_queue_size,
        on_error=options.on_error,
        journal=None if options.journal is None else JournalLocation(options.journal, options.binding),
    )
    drain_at_exit(pipeline)
    pipeline.stand_by()
    return pipeline
