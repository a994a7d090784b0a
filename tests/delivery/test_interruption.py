"""Code that runs in the midst of ours, by a signal or a garbage collection, does not wait for what it holds up."""

import json
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Any

import pytest

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.delivery.http.direct_channel import DirectChannel
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.options.options import Options
from failpath_otel.runtime.threads import is_held_here
from tests.delivery.pipelines import REJECTED, HeldDelivery, numbered, pipeline
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.opcodes import trace_opcodes


@pytest.mark.parametrize("wait", ["flush", "await_attempt"])
def test_who_interrupts_a_put_does_not_wait_for_the_lock_that_the_put_holds(wait: str) -> None:
    waited: list[float] = []
    with pipeline(HeldDelivery()) as queue:

        def interrupt(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call" and frame.f_code is RecordQueue.add.__code__ and not waited:
                began = monotonic()
                waited.append(0)
                getattr(queue, wait)(30)
                waited[0] = monotonic() - began

        def put() -> None:
            sys.setprofile(interrupt)
            try:
                queue.put(numbered(1))
            finally:
                sys.setprofile(None)

        queue.put(numbered(0))
        thread = threading.Thread(target=put)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert waited[0] < 10
        assert queue.flush(10)


def test_a_record_put_in_the_midst_of_a_count_does_not_deadlock_with_a_thread_that_reads_the_counts() -> None:
    made = Pipeline(HeldDelivery())
    reads_counts = threading.Event()
    put_ended = threading.Event()

    def note_read(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is Ledger.stats.__code__:
            reads_counts.set()

    def read_counts() -> None:
        sys.setprofile(note_read)
        made.stats()

    reader = threading.Thread(target=read_counts, daemon=True)

    def interrupt(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is Ledger._drop.__code__:
            sys.setprofile(None)
            reader.start()
            # Where the interrupted count keeps readers out, this one cannot get there.
            assert is_held_here(made.queue.lock) or reads_counts.wait(10)
            made.put(numbered(1))
            put_ended.set()

    def lose() -> None:
        sys.setprofile(interrupt)
        made.ledger.lose("invalid")

    threading.Thread(target=lose, daemon=True).start()  # a deadlock must not keep the process from ending
    assert put_ended.wait(20)
    reader.join(10)
    assert made.shutdown(10) is False
    assert made.stats().delivered == 1


def test_a_flush_in_the_midst_of_an_attempt_does_not_claim_that_its_batch_is_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flushed: list[bool] = []

    class Interrupted(HeldDelivery):
        def send(self, records: Any, within: float | None = None) -> Any:
            if not self.batches:
                self.batches.append([])
                made.put(numbered(2))
                flushed.append(made.flush(1))  # as a signal handler does
            return super().send(records, within)

    made = Pipeline(Interrupted(), after_put=lambda: None)
    monkeypatch.setattr(made.worker, "start", lambda: None)  # as at the end of the interpreter
    made.put(numbered(1))
    assert made.flush(10) is True
    assert flushed == [False]
    assert made.stats().delivered == 2


def test_who_is_told_of_a_loss_can_ask_for_it() -> None:
    delivery = HeldDelivery(answers=[REJECTED])
    found: list[object] = []
    told = threading.Event()
    with pipeline(delivery) as queue:

        def notify(error: object) -> None:
            found.append((queue.ledger.is_lossless, queue.take_error() is error is not None))
            told.set()

        queue.put(numbered(1))
        queue.flusher.watch(notify)
        assert told.wait(10)
    assert found == [(False, True)]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_the_delivery_thread_outlives_whatever_a_send_raises(raised: type[BaseException]) -> None:
    class Raising(HeldDelivery):
        def send(self, records: Any, within: float | None = None) -> Any:
            if not self.batches:
                self.batches.append([])
                raise raised
            return super().send(records, within)

    delivery = Raising()
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert queue.flush(10)
    assert delivery.records == [numbered(1)]


def test_what_interrupts_a_send_at_any_opcode_and_uses_the_same_client_mixes_no_two_requests(
    server: FaultServer,
) -> None:
    """As a signal handler or a finalizer, which takes the reentrant lock a second time on the same thread."""
    client = HttpClient(Options(KEY, server.url))
    assert client.send([numbered(0)]).failure is None
    places = {each.__code__ for each in (HttpClient.send, HttpClient._exchange, DirectChannel.post)}
    before, opcodes, at, failures = sys.gettrace(), 0, 0, []

    def interrupt(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal opcodes
        if frame.f_code not in places:
            return None
        frame.f_trace_opcodes = True
        opcodes += event == "opcode"
        if event == "opcode" and opcodes == at:
            sys.settrace(None)
            failures.append(client.send([numbered(1)]).failure)
            client.close()
            sys.settrace(interrupt)
        return interrupt

    while opcodes >= at:  # the last one was not the end
        at, opcodes = at + 1, 0
        server.requests.clear()
        trace_opcodes(interrupt)
        try:
            failures.append(client.send([numbered(2)]).failure)
        finally:
            sys.settrace(before)
        sent = [event["number"] for request in list(server.requests) for event in json.loads(request.body)["events"]]
        assert sorted(sent) == ([1, 2] if opcodes >= at else [2]), at
    client.close()
    assert not any(failures)
    assert at > 50
