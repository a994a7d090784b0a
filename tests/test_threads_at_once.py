"""Steps of many threads at once, while others wait, count and look: each is reported once, in its order.

With a GIL the interpreter changes threads as often as it can; without one they run side by side (decision 0037).
"""

import gc
import json
import signal
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider, SpanKind
from opentelemetry.trace import TracerProvider as AnyProvider

from failpath_otel import Failpath, StepRule, limits
from failpath_otel.configure import FailpathClient
from failpath_otel.delivery.figures.metrics import measure
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.joined_providers import JOINS, Join
from failpath_otel.journal.location import JournalLocation
from failpath_otel.options.options import Options
from failpath_otel.records.process import ThisProcess
from failpath_otel.runtime import forking
from failpath_otel.runtime.snapshots import snapshot
from tests.delivery.pipelines import HeldDelivery

THREADS: Final = 6
ROUNDS: Final = 10
PATIENCE: Final = 60
FLOW: Final = "checkout"

STEPS: Final = [
    *(("plain", "running"), ("nested", "running"), ("nested", "success"), ("plain", "success")),
    *(("failing", "running"), ("failing", "error"), ("block", "running"), ("block", "success")),
]
BY_RULE: Final = [("job", "running"), ("job", "success"), ("job", "running")]


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(*works: Callable[[], object]) -> list[BaseException]:
    """Run each on a thread of its own, all from the same moment on; return what they raise."""
    raised: list[BaseException] = []
    at_once = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            at_once.wait(PATIENCE)
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    with switching_often():
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
            assert not each.is_alive()
    return raised


def record(client: Failpath, provider: AnyProvider, thread: int) -> None:
    """Make all kinds of steps."""
    tracer = provider.get_tracer("other")
    for number in range(ROUNDS):
        run = client.run(FLOW, run_id=f"{thread}-{number}", metadata={"text": "x" * (number * 31 % 200)})
        run.step("plain", partial(run.step, "nested", dict))
        with pytest.raises(ZeroDivisionError):
            run.step("failing", lambda: 1 / 0)
        with run.step("block") as step:
            step.set_metadata(number=number)
        attributes = {"run": run.run_id}
        with tracer.start_as_current_span("job", kind=SpanKind.CONSUMER, attributes=attributes):
            pass
        tracer.start_span("job", kind=SpanKind.CONSUMER, attributes=attributes)  # dropped without an end


@pytest.mark.parametrize("place", ["a journal", "memory"])
@pytest.mark.parametrize("with_spans", [True, False], ids=["spans of a provider", "no spans"])
def test_each_step_of_many_threads_is_reported_once_and_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, *, with_spans: bool
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 8_192)
    monkeypatch.setattr(limits, "MAX_RECORD_BYTES", 2_048)
    delivery = HeldDelivery()
    journal = JournalLocation(str(tmp_path / "journal"), "0123456789abcdef") if place == "a journal" else None
    pipeline = Pipeline(delivery, schedule_delay=0.001, journal=journal)
    rules = (StepRule(FLOW, "job", span_name="job", run_id="run"),) if with_spans else None
    join = Join(Options("fp_project_x", delivery.url, metrics=False, rules=rules), lambda _: pipeline)
    provider: AnyProvider = TracerProvider(shutdown_on_exit=False) if with_spans else NoOpTracerProvider()
    with JOINS.lock:
        join.add_to(provider)
    client = FailpathClient(provider, join)
    reader = InMemoryMetricReader()
    measure(pipeline, "pipeline", MeterProvider([reader], shutdown_on_exit=False))
    running, counted = [None] * THREADS, [Stats(0, 0, 0)]

    def watch() -> None:
        while running:
            client.flush(0.01)
            counted.append(client.stats())
            reader.get_metrics_data()
            assert pipeline.ledger.is_lossless
            assert pipeline.ledger.dropped == 0

    def record_all(thread: int) -> None:
        try:
            record(client, provider, thread)
        finally:
            running.pop()

    assert together(watch, *(partial(record_all, thread) for thread in range(THREADS))) == []
    gc.collect()
    assert client.flush(PATIENCE)
    expected = [*STEPS, *(BY_RULE if with_spans else ())]
    total = THREADS * ROUNDS * len(expected)
    assert client.stats() == Stats(total, total, 0)
    assert sorted(counted, key=lambda stats: stats.accepted) == counted
    assert all(stats.accepted == stats.delivered + stats.waiting for stats in counted)
    events = [json.loads(event) for event in delivery.records]
    assert len({event["id"] for event in events}) == len(events) == total
    by_run: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for event in events:
        by_run[event["runId"]].append((event["stepKey"], event["status"]))
    assert by_run == {f"{thread}-{number}": expected for thread in range(THREADS) for number in range(ROUNDS)}
    assert not join.reporter._open
    assert pipeline.admission.is_idle()
    client.shutdown(PATIENCE)


def test_a_snapshot_is_taken_of_what_other_threads_change_meanwhile() -> None:
    changing, over = deque(range(100)), threading.Event()

    def change() -> None:
        while not over.is_set():
            changing.append(changing.popleft())

    def look() -> None:
        try:
            for _ in range(300):
                assert 98 <= len(snapshot(changing)) <= 100  # each of the others may hold one
        finally:
            over.set()

    assert together(change, change, look) == []


class Changing:
    """A collection that another one has changed while it was looked through, the first time."""

    def __init__(self, error: RuntimeError | None = None) -> None:
        self.looks = 0
        self.error = error or RuntimeError("deque mutated during iteration")

    def __iter__(self) -> Iterator[int]:
        self.looks += 1
        if self.looks == 1:
            raise self.error
        yield 1


def test_a_snapshot_is_taken_again_where_the_collection_was_changed_meanwhile() -> None:
    assert snapshot(Changing()) == (1,)


def test_a_snapshot_passes_on_what_a_signal_handler_raises_in_it() -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        raise RuntimeError("of the application")

    class Interrupted(Changing):
        def __iter__(self) -> Iterator[int]:
            signal.raise_signal(signal.SIGUSR1)
            return super().__iter__()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(RuntimeError, match="of the application"):
            snapshot(Interrupted())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_methods_that_follow_a_fork_are_all_kept_while_threads_add_some_and_others_go() -> None:
    kept: list[ThisProcess] = []

    def add() -> None:
        for _ in range(20):
            kept.append(ThisProcess())
            ThisProcess()  # which goes at once

    assert together(*[add] * 4) == []
    known = {
        getattr(method, "__self__", None)
        for each in forking._in_child.copy().values()
        if (method := each()) is not None
    }
    assert known >= set(kept)
