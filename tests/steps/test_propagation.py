"""A run that travels as W3C baggage: what leaves the process and when, and what another process makes of it."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from failpath_otel import Failpath, Run, report
from failpath_otel.testing import MockFailpath
from tests.recording import Recording, identity, metadata, recording_with

FLOW, RUN = "failpath.flow.key", "failpath.run.id"
CARRIED = {FLOW: "checkout", RUN: "req-1"}
WIRE = W3CBaggagePropagator()


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture(autouse=True)
def _no_baggage_is_left() -> Iterator[None]:
    yield
    assert carried() == {}


@pytest.fixture
def run(recording: Recording) -> Run:
    return recording.run(propagate=True, metadata={"secret": "none of theirs"})


@pytest.fixture
def received() -> Iterator[None]:
    """The context in which a service finds itself when another one, inside a run, has called it."""
    token = attach(WIRE.extract({"baggage": "failpath.flow.key=checkout,failpath.run.id=req-1"}))
    yield
    detach(token)


def carried() -> dict[str, object]:
    return dict(baggage.get_all())


def sent() -> str:
    headers: dict[str, str] = {}
    WIRE.inject(headers)
    return headers.get("baggage", "")


def test_a_run_does_not_travel_unless_it_is_asked_to(recording: Recording) -> None:
    with recording.run() as run:
        assert run.step("pack", carried) == {}


def test_a_run_travels_while_it_is_the_current_one(run: Run) -> None:
    with run:
        assert sent() == "failpath.flow.key=checkout,failpath.run.id=req-1"
    assert sent() == ""


def test_an_error_ends_the_journey(run: Run) -> None:
    with pytest.raises(ValueError, match="no"), run, run.step("pack"):
        raise ValueError("no")
    assert sent() == ""


def test_a_run_that_is_not_entered_travels_while_one_of_its_steps_is_open(run: Run) -> None:
    @run.step("decorated")
    def decorated() -> dict[str, object]:
        return carried()

    with run.step("block"):
        assert carried() == CARRIED
    assert run.step("function", carried) == CARRIED
    assert decorated() == CARRIED
    assert carried() == {}


def test_steps_of_every_asynchronous_kind_carry_it_and_only_they(run: Run) -> None:
    @run.step("generator")
    def items() -> Iterator[dict[str, object]]:
        yield carried()
        yield carried()

    @run.step("asynchronous generator")
    async def aitems() -> AsyncIterator[dict[str, object]]:
        yield carried()
        await asyncio.sleep(0)
        yield carried()

    async def look() -> dict[str, object]:
        await asyncio.sleep(0)
        return carried()

    async def main() -> list[dict[str, object]]:
        seen = [await run.step("coroutine", look), await run.step("returned", lambda: look())]  # noqa: PLW0108
        for item in items():
            seen += [item]
            assert carried() == {}
        async for item in aitems():
            seen += [item]
            assert carried() == {}
        async with run, run.step("block"):
            seen += await asyncio.gather(look(), asyncio.ensure_future(look()))
        assert carried() == {}
        return seen

    assert asyncio.run(main()) == [CARRIED] * 8


def test_a_thread_carries_what_its_context_has(run: Run) -> None:
    seen: list[object] = []
    with run:
        context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: seen.append(context.run(carried)))
    thread.start()
    thread.join(10)

    assert seen == [CARRIED]


def test_entries_of_others_stay_and_an_inner_run_takes_the_place_of_an_outer_one(recording: Recording) -> None:
    token = attach(baggage.set_baggage("tenant", "acme"))
    try:
        with recording.run(propagate=True):
            with recording.failpath.run("refund", run_id=2, propagate=True):
                assert carried() == {"tenant": "acme", FLOW: "refund", RUN: "2"}
            assert carried() == {"tenant": "acme", **CARRIED}
        assert carried() == {"tenant": "acme"}
    finally:
        detach(token)


def test_a_generated_run_id_travels_too(recording: Recording) -> None:
    with recording.failpath.run("checkout", propagate=True) as run:
        assert carried()[RUN] == run.run_id


class Seeing(SpanProcessor):
    """Keeps the baggage with which spans begin, as processors that copy it to attributes see it."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, object]] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.seen.append(dict(baggage.get_all(parent_context)))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def test_span_processors_of_the_host_see_it_when_a_run_and_when_a_step_begins() -> None:
    seeing = Seeing()
    with recording_with(before=[seeing]) as recording:
        with recording.run(propagate=True):
            pass
        recording.run(propagate=True).step("pack", lambda: None)

    assert seeing.seen == [CARRIED, CARRIED]


def test_it_travels_where_there_is_no_tracer_provider_too() -> None:
    mock = MockFailpath()
    with mock.run("checkout", run_id="req-1", propagate=True) as run:
        assert carried() == CARRIED
        run.step("pack", lambda: None)
    assert [event.step_key for event in mock.events] == ["pack", "pack"]
    mock.shutdown(0)


def test_it_travels_in_a_trace_that_is_not_sampled_too() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with Failpath(tracer_provider=provider).run("checkout", run_id="req-1", propagate=True) as run:
        assert run.step("pack", sent) == sent() == "failpath.flow.key=checkout,failpath.run.id=req-1"


@pytest.mark.usefixtures("received")
def test_the_receiving_service_finds_the_run_and_its_decorated_functions_join_it(recording: Recording) -> None:
    @recording.failpath.step("reserve")
    def reserve() -> None:
        pass

    reserve()
    run = recording.failpath.current_run()

    assert run is not None
    assert (run.flow_key, run.run_id) == ("checkout", "req-1")
    assert run.headers() == {"failpath-flow-key": "checkout", "failpath-run-id": "req-1"}
    assert identity(recording.only()) == ("checkout", "req-1", "reserve")
    assert metadata(recording.only()) == {}


def test_the_service_that_sends_a_run_finds_it_too_while_a_step_of_it_is_open(recording: Recording, run: Run) -> None:
    found = run.step("pack", recording.failpath.current_run)

    assert found is not None
    assert (found.flow_key, found.run_id) == ("checkout", "req-1")
    assert recording.failpath.current_run() is None


@pytest.mark.usefixtures("received")
def test_a_run_of_the_process_itself_goes_before_the_one_that_was_received(recording: Recording) -> None:
    with recording.failpath.run("refund") as own:
        assert recording.failpath.current_run() is own
    found = recording.failpath.current_run()
    assert found is not None
    assert found.flow_key == "checkout"


@pytest.mark.usefixtures("received")
def test_the_run_that_was_received_can_be_entered_and_goes_on_travelling(recording: Recording) -> None:
    found = recording.failpath.current_run()
    assert found is not None
    with found as run:
        assert recording.failpath.current_run() is run
        assert run.step("pack", carried) == CARRIED


def test_what_the_receiving_service_finds_is_what_was_sent(recording: Recording) -> None:
    with recording.failpath.run("kasse: bücher", run_id='17; a="b", 50 % + 1', propagate=True):
        header = sent()
    token = attach(WIRE.extract({"baggage": header}))
    try:
        found = recording.failpath.current_run()
    finally:
        detach(token)

    assert found is not None
    assert (found.flow_key, found.run_id) == ("kasse: bücher", '17; a="b", 50 % + 1')


class Unequal:
    """A value that cannot be compared, as an array."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("no truth value")

    __hash__ = object.__hash__


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a run id that is too long": ({FLOW: "checkout", RUN: "x" * 201}, "run id"),
    "a run id with a line break": ({FLOW: "checkout", RUN: "a\nb"}, "run id"),
    "a run id of a wrong type": ({FLOW: "checkout", RUN: 17}, "run id"),
    "a run id that cannot be compared": ({FLOW: "checkout", RUN: Unequal()}, "run id"),
    "a flow key that is too long": ({FLOW: "x" * 201, RUN: "req-1"}, "flow key"),
    "a flow key with an escape sequence": ({FLOW: "\x1b[2J", RUN: "req-1"}, "flow key"),
    "a flow key of a wrong type": ({FLOW: ["checkout"], RUN: "req-1"}, "flow key"),
}


@pytest.mark.parametrize(("entries", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_baggage_is_refused_and_that_is_said_once(
    recording: Recording, entries: dict[str, Any], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert [found(recording, entries) for _ in range(2)] == [None, None]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"Failpath: a {what} from another process is refused: ")


@pytest.mark.parametrize("entries", [{FLOW: "checkout"}, {RUN: "req-1"}, {FLOW: "", RUN: ""}, {"tenant": "acme"}])
def test_half_a_run_is_none(recording: Recording, entries: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert found(recording, entries) is None
    assert caplog.records == []


def found(recording: Recording, entries: dict[str, Any]) -> Run | None:
    context = Context()
    for name, value in entries.items():
        context = baggage.set_baggage(name, value, context)
    token = attach(context)
    try:
        return recording.failpath.current_run()
    finally:
        detach(token)
