"""The way from a finished record to Failpath, and waiting for the truth about it."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.interruption import interrupted_in
from failpath_otel.delivery.orphans import Adoption
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.waiters.waiters import Notify, Watcher
from failpath_otel.delivery.worker import DeliveryThread
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.journal.segments.frame import FRAME_BYTES
from failpath_otel.runtime.threads import OneShotEvent, can_block, sleep_cooperatively


class Pipeline(DeliveryThread):
    """Takes encoded records on any thread, never blocks on the network, and delivers them in their order."""

    @property
    def accepted(self) -> int:
        """The number of the record that was accepted last."""
        with self._lock:
            self._recount()
            return self._accepted

    def put_safely(self, records: Sequence[bytes]) -> tuple[int, bool]:
        """Queues all of ``records``, or none of them: then whoever has them keeps them, and none counts as lost.

        As no other way in, this one takes no more than a journal has room for without dropping its oldest.

        Returns:
            The number of the last of them, 0 if they were not taken; and whether all are in the journal now.
        """
        size = sum(map(len, records))
        with self._lock:
            journal = self._journal if self._journaling else None
            if journal is not None and journal.free_bytes() < size + len(records) * FRAME_BYTES:
                return 0, False
            if not self.has_room(len(records), size):
                return 0, False
            for record in records:
                self._put(record)
            taken = self._accepted, self._journaling
        if self._unattended:
            self._start()
        return taken

    @property
    def stuck(self) -> bool:
        """Whether the last attempt has failed, and what it was about waits to be sent again."""
        return self._backlog.failing and bool(self._backlog)

    @property
    def pause(self) -> float:
        """Seconds until the next attempt may be made."""
        return self._backlog.pause()

    @property
    def journaling(self) -> bool:
        """Whether what is put now goes into a journal."""
        return self._journaling

    def watch(
        self,
        notify: Notify,
        *,
        of_attempt: bool = False,
        numbers: tuple[int, int] | None = None,
        patient: bool = False,
    ) -> Callable[[], None] | None:
        """Calls ``notify`` from the delivery thread once everything accepted so far is settled; hurries it up.

        Args:
            notify: called once, with ``None`` or with why one of the records was lost that ``numbers`` are about.
            of_attempt: do not wait for records that are kept to be sent again: an attempt that failed is enough.
            numbers: wait for the records from the first to the second of these numbers. Default: for the last one.
            patient: wait for records that are sent again in parts, also where an attempt is enough.

        Returns:
            A function that takes the wish back; ``None`` where there is nothing to wait for.
        """
        with self._lock:
            accepted = self.accepted
            first, last = numbers or (accepted, accepted)
            # While the endpoint fails, an attempt is one of those that are planned; nobody waits for it. Nor for the
            # end of a pause after others were sent in parts, unless with patience for that.
            is_pause = of_attempt and self._backlog.pause() and (self._backlog.failing or not patient)
            if last <= self._settled or is_pause:
                return None
            watcher = Watcher(first, last, notify, of_attempt=of_attempt, patient=patient)
            self._watchers.add(watcher)
            if not of_attempt:
                self._backlog.hurry()
            self._wake.put(None)
            self._hurry += not of_attempt
            self._urgent += of_attempt

        def cancel() -> None:
            with self._lock:
                self._hurry -= not of_attempt
                self._urgent -= of_attempt
                self._watchers.discard(watcher)

        try:
            self._start()
        except BaseException:  # Ctrl-C or a time limit: whoever asked does not wait, and cannot take the wish back
            cancel()
            raise
        return cancel

    def hurry(self) -> None:
        """Starts sending what waits, without waiting for it."""
        self.watch(lambda _: None)

    def flush(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds until everything accepted so far was delivered.

        Returns:
            Whether nothing at all has been lost and nothing of that still waits.
        """
        return self._wait(timeout, of_attempt=False) == (True, None) and self.lossless

    def await_attempt(
        self, timeout: float, numbers: tuple[int, int] | None = None, *, patient: bool = False
    ) -> tuple[bool, DeliveryError | None]:
        """Waits at most ``timeout`` seconds until everything accepted so far was sent, or an attempt has failed.

        With ``patient``, what is sent again in parts counts as one attempt.

        Returns:
            Whether it came to that in time, and why one of the records from the first to the second of ``numbers`` is
            not delivered, if so; without ``numbers``, why the last one is not.
        """
        return self._wait(timeout, of_attempt=True, numbers=numbers, patient=patient)

    def hasten(self, timeout: float) -> None:
        """Sends what waits, waits at most ``timeout`` seconds for one attempt, and deletes an empty journal.

        Not while the endpoint fails, nor in the midst of our own code: then it waits for the next process.
        """
        if timeout > 0 and not self._backlog.failing and not self._is_held_up():
            self.await_attempt(timeout)
            self._leave_journal()

    def _is_held_up(self) -> bool:
        """Whether who calls this holds up what it would wait for.

        As a logging handler, a session, a signal handler and a garbage collection may.
        """
        thread = self._thread
        delivers = thread is not None and thread.is_current()
        return delivers or interrupted_in(_HOLDING_THE_LOCK, self) or not can_block()

    def is_hopeless(self, timeout: float) -> bool:
        """Whether the server wants to be left alone for so long that ``timeout`` seconds of waiting bring nothing."""
        return self._settled < self._accepted and self._backlog.refused() > timeout

    def _wait(
        self, timeout: float, *, of_attempt: bool, numbers: tuple[int, int] | None = None, patient: bool = False
    ) -> tuple[bool, DeliveryError | None]:
        """Whether it was settled in time, and the error that :meth:`watch` tells."""
        deadline = monotonic() + timeout
        if self._is_held_up() or self.is_hopeless(timeout):
            return False, self._sender.failure
        told: list[DeliveryError | None] = []
        settled = OneShotEvent()

        def notify(error: DeliveryError | None) -> None:
            told.append(error)
            settled.set()

        cancel = self.watch(notify, of_attempt=of_attempt, numbers=numbers, patient=patient)
        if cancel is None:
            return self.already(numbers)
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self._thread is None and self._has_work() and not told and monotonic() < deadline:
                if not settled.wait(min(self._backlog.pause(), max(deadline - monotonic(), 0))):
                    left = deadline - monotonic()
                    if left > 0:
                        self._attempt(left)
            in_time = settled.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time, told[0] if told else None

    def already(self, numbers: tuple[int, int] | None = None) -> tuple[bool, DeliveryError | None]:
        """What there is to say where :meth:`watch` has nothing to wait for: whether all is settled, and the error."""
        with self._lock:
            accepted = self.accepted
            first, last = numbers or (accepted, accepted)
            if last > self._settled:
                failure = self._sender.failure
                # One that is not tried again was about another record.
                return False, failure if failure is not None and failure.retrying else None
            return True, next((loss.error for loss in self._losses if loss.concerns(first, last)), None)

    def take_error(self) -> DeliveryError | None:
        """The first loss since this was last asked; where there is none, the failure that is being retried.

        What was raised already, by a step that has waited for it, does not count.
        """
        error, self._first_loss = self._first_loss, None
        found = error or (self._sender.failure if self.stats().waiting else None)
        return found if found is not None and not found.raised else None

    def deliver_adopted(self, timeout: float) -> None:
        """Delivers what gone processes have left, for at most ``timeout`` seconds, and while the endpoint takes it."""
        deadline = monotonic() + timeout
        self.adopt()
        while self._adoption and not self._backlog.failing and (left := deadline - monotonic()) > 0:
            if self._thread is None:  # no thread can be started any more
                self._attempt(left)
            else:
                sleep_cooperatively(limits.EXIT_POLL)
        if self._adoption and self._backlog.failing and not (self._delivered or self._adoption.delivered):
            self._thin_out(self._adoption)

    def _thin_out(self, adoption: Adoption) -> None:
        # Of programs that all end soon, none would see for how long nothing can be delivered.
        if self._sender.begin_alone():
            try:
                adoption.look(failing=True, last=True)
            finally:
                self._sender.end_alone()

    @property
    def left(self) -> tuple[int, int, str]:
        """How many of the records that wait outlive the process, how many do not, and where the first are."""
        with self._lock:
            # At one instant: daemon threads may still record, and an answer may just come in.
            waiting = self.stats().waiting - self._left  # which was said when it was left
            if self._journal is None or self._journal.has_deleted_files():
                return 0, waiting, ""
            lost = min(max(self._memory.records, 0) + len(self._journal.deferred), waiting)
            return waiting - lost, lost, self._journal.path

    @property
    def outage(self) -> tuple[str, bool]:
        """Why the last attempt failed, empty if it did not; and whether that was logged."""
        return self._backlog.cause, self._backlog.said

    def leave(self) -> None:
        """The process ends: deletes the journal if nothing waits; else tells ``on_error`` of what is lost with it."""
        self._leave_journal()
        self._seal_journal()
        lost = self.left[1]
        if lost:
            status = None if self._sender.failure is None else self._sender.failure.status
            self._callback.call(SendError("the process ended before they could be delivered", lost, status))

    def _seal_journal(self) -> None:
        # Not in the midst of an attempt: what becomes of it is to be noted in the file that it was read from.
        if self._journal is not None and self._sender.begin_alone(limits.SCHEDULE_DELAY):
            try:
                with self._lock:
                    self._journal.trim()
            finally:
                self._sender.end_alone()

    def drain_callbacks(self, timeout: float) -> None:
        """Waits at most ``timeout`` seconds until ``on_error`` was called for all errors so far."""
        self._callback.drain(timeout)

    def shutdown(self, timeout: float) -> bool:
        """Flushes, then takes no more records, and ends the thread once it has nothing left to send."""
        complete = self.flush(timeout)
        self.secure(limits.EXIT_POLL)
        with self._lock:
            self._closed = True
            self._leave_by = monotonic() + limits.ABANDON_SECONDS
            self._wake.put(None)
        self._leave_journal()
        return complete

    def retire(self) -> None:
        """Ends the thread whenever there is nothing to send: only outcomes of steps that are open will follow."""
        with self._lock:
            self._retired = True
            self._wake.put(None)


_HOLDING_THE_LOCK: Final = {
    method.__code__
    for method in (
        *(
            RecordQueue.put_start,
            RecordQueue.put_outcome,
            RecordQueue.put_together,
            RecordQueue.lose,
            RecordQueue.lose_outcome,
            RecordQueue.forgo_outcome,
        ),
        *(RecordQueue.stats, RecordQueue.is_idle, RecordQueue._take, RecordQueue._settle),  # noqa: SLF001
        *(Pipeline.put_safely, Pipeline.watch, Pipeline.already, Pipeline._pass_over, Pipeline._report_overflow),  # noqa: SLF001
        *(Pipeline.stats, Pipeline._leave_journal, Pipeline._leave_records, Pipeline._tidy_journal),  # noqa: SLF001
        *(Pipeline._return_to_journal, Pipeline.secure, Pipeline._seal_journal),  # noqa: SLF001
    )
}
