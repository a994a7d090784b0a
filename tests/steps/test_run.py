"""A run: what groups steps, and as a block the parent of their spans."""

import asyncio
import gc
import pickle
import uuid
from collections.abc import Callable, Generator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from opentelemetry import context, trace

from failpath_otel import Failpath, Run, limits
from tests.recording import (
    FLOW,
    Recording,
    attributes,
    current_name,
    identity,
    otel_status,
    parent_id,
    span_id,
    trace_id,
)


def test_making_a_run_records_nothing(recording: Recording) -> None:
    recording.failpath.run(FLOW, run_id="1", metadata={"a": 1})

    assert recording.started() == []


def test_a_run_knows_its_flow_and_its_id(recording: Recording) -> None:
    run = recording.failpath.run(FLOW, run_id="req-7")

    assert (run.flow_key, run.run_id) == (FLOW, "req-7")
    assert repr(run) == "Run('checkout', run_id='req-7')"


@pytest.mark.parametrize("given", [None, ""], ids=["missing", "empty"])
def test_a_missing_or_empty_run_id_is_generated(recording: Recording, given: str | None) -> None:
    first, second = recording.failpath.run(FLOW, run_id=given), recording.failpath.run(FLOW)

    assert first.run_id
    assert first.run_id != second.run_id
    first.step("pack", lambda: None)
    assert identity(recording.only()) == (FLOW, first.run_id, "pack")


@pytest.mark.parametrize(
    "given", [7, 0, uuid.UUID(int=5), 1.5, b"x", ("a", 1)], ids=["int", "zero", "uuid", "float", "bytes", "tuple"]
)
def test_a_run_id_of_another_type_is_taken_by_its_text(recording: Recording, given: object) -> None:
    recording.failpath.run(FLOW, run_id=given).step("pack", lambda: None)

    assert identity(recording.only()) == (FLOW, str(given), "pack")


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_run_id_without_a_text_is_generated(recording: Recording) -> None:
    assert recording.failpath.run(FLOW, run_id=NoText()).run_id


def test_a_long_run_id_is_bounded_and_still_distinguishes_two_runs(recording: Recording) -> None:
    ids = [recording.failpath.run(FLOW, run_id="x" * 100_000 + end).run_id for end in "abb"]

    assert len(ids[0]) <= limits.MAX_RUN_ID_CHARS
    assert ids[0] != ids[1]
    assert ids[1] == ids[2]


def test_a_run_id_with_surrogates_becomes_encodable_text(recording: Recording) -> None:
    recording.failpath.run(FLOW, run_id="\ud800").run_id.encode("utf-8")


def test_a_run_that_is_not_entered_opens_no_span_of_its_own(run: Run, recording: Recording) -> None:
    run.step("pack", lambda: None)
    run.step("send", lambda: None)

    assert recording.names() == ["pack", "send"]
    assert [parent_id(span) for span in recording.ended()] == [None, None]


def test_a_block_gives_one_trace_with_the_runs_span_as_the_parent(run: Run, recording: Recording) -> None:
    with run as entered:
        run.step("pack", lambda: None)
        run.skip("wrap")
        with run.step("send"):
            pass

    assert entered is run
    parent = recording.named(FLOW)
    steps = [recording.named(key) for key in ("pack", "wrap", "send")]
    assert {trace_id(span) for span in steps} == {trace_id(parent)}
    assert {parent_id(span) for span in steps} == {span_id(parent)}
    assert recording.started()[0] == recording.names()[-1] == FLOW


def test_the_span_of_a_run_names_the_run_and_is_no_step(run: Run, recording: Recording) -> None:
    with run:
        pass

    assert attributes(recording.only()) == {"failpath.flow.key": FLOW, "failpath.run.id": run.run_id}
    assert list(recording.only().events) == []


def test_an_async_block_is_the_same(run: Run, recording: Recording) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        async with run as entered:
            assert entered is run
            assert recording.failpath.current_run() is run
            await run.step("pack", work)

    asyncio.run(main())

    assert parent_id(recording.named("pack")) == span_id(recording.named(FLOW))


def test_an_error_passes_out_of_a_block_untouched_and_stands_on_its_span(run: Run, recording: Recording) -> None:
    error = ValueError("no")

    with pytest.raises(ValueError, match="no") as caught, run:
        raise error

    assert caught.value is error
    assert error.__context__ is None
    assert otel_status(recording.only()) == "ERROR"
    assert [event.name for event in recording.only().events] == ["exception"]
    assert dict(recording.only().attributes or {})["error.type"] == "ValueError"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (KeyboardInterrupt, "ERROR"),
        (asyncio.CancelledError, "ERROR"),
        (lambda: SystemExit(1), "ERROR"),
        (lambda: SystemExit(0), "UNSET"),
        (GeneratorExit, "ERROR"),
    ],
)
def test_a_block_fails_by_the_same_rules_as_a_step(
    run: Run, recording: Recording, make: Callable[[], BaseException], expected: str
) -> None:
    with pytest.raises(BaseException, match=r".*"), run:
        raise make()

    assert otel_status(recording.only()) == expected


@pytest.mark.parametrize("kind", ["generator", "coroutine"])
def test_a_block_that_is_closed_fails_in_a_coroutine_and_not_in_a_generator(
    run: Run, recording: Recording, kind: str
) -> None:
    def items() -> Generator[int, None, None]:
        with run:
            yield 1

    async def work() -> None:
        with run:
            await asyncio.sleep(0)

    suspended = items() if kind == "generator" else work()
    suspended.send(None)
    suspended.close()

    assert otel_status(recording.only()) == ("UNSET" if kind == "generator" else "ERROR")


def test_what_was_current_before_a_block_is_current_again_after_it(recording: Recording) -> None:
    with recording.tracer.start_as_current_span("around"):
        with recording.run():
            assert current_name() == FLOW
        assert current_name() == "around"
        assert recording.failpath.current_run() is None


def test_a_block_can_be_entered_again_and_inside_itself(run: Run, recording: Recording) -> None:
    with run:
        with run:
            run.step("inner", lambda: None)
        run.step("outer", lambda: None)
    with run:
        pass

    inner_run, outer_run, _ = (span for span in recording.ended() if span.name == FLOW)
    assert parent_id(recording.named("inner")) == span_id(inner_run)
    assert parent_id(recording.named("outer")) == span_id(outer_run)


def test_a_span_that_the_user_forgets_in_a_block_does_not_keep_the_runs_span_open(
    run: Run, recording: Recording
) -> None:

    with recording.tracer.start_as_current_span("around"):
        with run:
            context.attach(trace.set_span_in_context(recording.tracer.start_span("forgotten")))
        assert current_name() == "around"

    assert FLOW in recording.names()


def test_a_client_without_a_provider_of_its_own_runs_everything_plainly() -> None:
    failpath = Failpath()
    calls: list[Any] = []

    with failpath.run(FLOW) as run:
        assert run.step("pack", lambda: calls.append(1)) is None
        run.skip("send")
    failpath.record_step(flow_key=FLOW, run_id=1, step_key="x", status="success")

    assert calls == [1]
    assert failpath.flush()


def test_a_run_whose_block_was_left_is_in_no_reference_cycle(recording: Recording) -> None:
    def runs() -> list[Run]:
        return [each for each in gc.get_objects() if issubclass(type(each), Run)]

    def left() -> int:
        return sum(not any(each is other for other in others) for each in runs())

    gc.collect()
    gc.disable()
    try:
        others = runs()  # which stay, whatever releases them meanwhile
        with recording.failpath.run("flow", run_id="1"):
            assert left() == 1
        assert left() == 0, "only a garbage collection would release it"
    finally:
        gc.enable()


def _narrow(run: Run[Literal["pack"]]) -> None:
    run.skip("pack")


def test_the_step_keys_of_a_run_are_types_alone(recording: Recording) -> None:
    run = recording.failpath.run(FLOW)

    assert isinstance(run, Run)
    assert not hasattr(run, "__dict__")
    kind = get_type_hints(_narrow)["run"]
    assert (get_origin(kind), get_args(kind)) == (Run, (Literal["pack"],))
    assert pickle.loads(pickle.dumps(kind)) == kind
    assert repr(kind) == "failpath_otel.Run[typing.Literal['pack']]"
    with pytest.raises(TypeError):
        isinstance(run, kind)
    _narrow(run)
    assert [identity(span) for span in recording.ended()] == [(FLOW, run.run_id, "pack")]
