"""Decorated generators: a step from the first item to the end, and otherwise the generator that they were."""

import gc
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

from failpath_otel import Run
from tests.recording import Recording, current_name, lifecycle, otel_status, outcome


class Thrown(Exception):  # noqa: N818 - what it is
    pass


Items = Generator[Any, Any, Any]
Script = tuple[tuple[str, Any], ...]


def counting() -> Items:
    first = yield 0
    second = yield 1
    third = yield 2
    return [first, second, third]


def catching() -> Items:
    try:
        yield 1
    except Thrown as thrown:
        yield ("caught", str(thrown))
    return "end"


def translating() -> Items:
    try:
        yield 1
    except Thrown as thrown:
        raise KeyError("other") from thrown


def stubborn() -> Items:
    while True:
        try:
            yield 1
        except GeneratorExit:
            yield 2


def returning_when_closed() -> Items:
    try:
        yield 1
    except GeneratorExit:
        return "closed"


def failing_when_closed() -> Items:
    try:
        yield 1
    finally:
        raise KeyError("cleanup")


def failing() -> Items:
    yield 1
    raise Thrown("inside")


def empty() -> Items:
    yield from ()
    return "nothing"


def delegating() -> Items:
    result = yield from counting()
    return ("delegated", result)


def stopping() -> Items:
    yield 1
    raise StopIteration("inside")  # noqa: PLR1708 - what Python makes of it must stay what it is


GENERATORS = (
    counting,
    catching,
    translating,
    stubborn,
    returning_when_closed,
    failing_when_closed,
    failing,
    empty,
    delegating,
    stopping,
)
NEXT, CLOSE = ("next", None), ("close", None)
THROW, EXIT = ("throw", Thrown("thrown")), ("throw", GeneratorExit("thrown"))
SCRIPTS: dict[str, Script] = {
    "exhaust": (NEXT,) * 5,
    "send": (NEXT, ("send", "a"), ("send", "b"), ("send", "c"), ("send", "d")),
    "send too early": (("send", "a"), NEXT),
    "close": (NEXT, CLOSE, NEXT, CLOSE),
    "close unstarted": (CLOSE, NEXT),
    "throw": (NEXT, THROW, NEXT, NEXT),
    "throw unstarted": (THROW, NEXT),
    "throw a generator exit": (NEXT, EXIT, NEXT),
    "throw after the end": (NEXT, NEXT, NEXT, NEXT, NEXT, THROW, CLOSE),
}


def chain(error: BaseException | None) -> Any:
    return None if error is None else (type(error), str(error), chain(error.__cause__), chain(error.__context__))


def play(make: Callable[[], Items], script: Script) -> list[Any]:
    """Return what a consumer sees that does all this with a generator."""
    generator = make()
    seen: list[Any] = []
    for what, given in script:
        try:
            if what == "next":
                seen.append(next(generator))
            elif what == "send":
                seen.append(generator.send(given))
            elif what == "close":
                seen.append(("closed", generator.close()))  # type: ignore[func-returns-value]
            else:
                given.__traceback__ = given.__context__ = None
                seen.append(generator.throw(given))
        except StopIteration as stop:
            seen.append(("stopped", stop.value))
        except BaseException as error:
            seen.append(("raised", chain(error), error is given))
    return seen


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
# A stubborn generator that is dropped says so itself, decorated or not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_consumer_sees_no_difference_whatever_it_does(run: Run, make: Callable[[], Items], script: Script) -> None:
    assert play(run.step("items")(make), script) == play(make, script)


def test_a_step_opens_at_the_first_item_and_not_at_the_call(run: Run, recording: Recording) -> None:
    items = run.step("items")(counting)()
    before = recording.started()
    next(items)

    assert (before, recording.started(), recording.names()) == ([], ["items"], [])


def test_a_step_ends_at_exhaustion(run: Run, recording: Recording) -> None:
    items = run.step("items")(counting)()
    for _ in range(3):
        next(items)
    before = recording.names()
    with pytest.raises(StopIteration):
        next(items)

    assert before == []
    assert (outcome(recording.only()), lifecycle(recording.only())) == ("success", ["running", "success"])


def test_a_step_ends_at_close(run: Run, recording: Recording) -> None:
    items = run.step("items")(counting)()
    next(items)
    items.close()

    assert outcome(recording.only()) == "success"


def test_a_step_ends_at_an_error_inside(run: Run, recording: Recording) -> None:
    with pytest.raises(Thrown, match="inside"):
        list(run.step("items")(failing)())

    assert (outcome(recording.only()), otel_status(recording.only())) == ("error", "ERROR")


def test_a_step_ends_at_an_error_thrown_in(run: Run, recording: Recording) -> None:
    items = run.step("items")(counting)()
    next(items)
    with pytest.raises(Thrown):
        items.throw(Thrown())

    assert outcome(recording.only()) == "error"


def test_a_step_goes_on_after_an_error_that_the_generator_caught(run: Run, recording: Recording) -> None:
    items = run.step("items")(catching)()
    next(items)
    items.throw(Thrown("x"))
    before = recording.names()
    list(items)

    assert before == []
    assert outcome(recording.only()) == "success"


def test_a_step_ends_when_its_generator_is_dropped(run: Run, recording: Recording) -> None:
    items = run.step("items")(counting)()
    next(items)
    del items
    gc.collect()

    assert outcome(recording.only()) == "success"


def test_a_cleanup_that_fails_is_an_error(run: Run, recording: Recording) -> None:
    items = run.step("items")(failing_when_closed)()
    next(items)
    with pytest.raises(KeyError):
        items.close()

    assert outcome(recording.only()) == "error"


def test_a_generator_that_was_never_started_is_no_step(run: Run, recording: Recording) -> None:
    run.step("items")(counting)().close()

    assert recording.started() == []


def test_a_generator_function_that_is_called_in_a_step_and_never_started_is_no_step(
    run: Run, recording: Recording
) -> None:
    run.step("items", counting).close()

    assert recording.started() == []


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_consumer_of_a_generator_function_in_a_step_sees_no_difference_either(
    run: Run, make: Callable[[], Items], script: Script
) -> None:
    assert play(lambda: run.step("items", make), script) == play(make, script)


def test_break_leaves_the_current_span_and_the_log_as_they_were(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), recording.tracer.start_as_current_span("around") as around:
        for _ in run.step("items")(counting)():
            assert trace.get_current_span() is around
            break
        gc.collect()

        assert trace.get_current_span() is around
    assert caplog.records == []


def test_the_span_of_the_step_is_current_inside_and_only_there(run: Run, recording: Recording) -> None:
    @run.step("items")
    def items() -> Iterator[str | None]:
        yield current_name()
        yield current_name()

    with recording.tracer.start_as_current_span("around"):
        seen = [(inside, current_name()) for inside in items()]

    assert seen == [("items", "around")] * 2


def test_interleaved_generators_keep_their_own_spans(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def items() -> Iterator[str | None]:
        yield current_name()
        yield current_name()

    first, second = run.step("first")(items)(), run.step("second")(items)()

    assert [next(first), next(second), next(first), next(second)] == ["first", "second", "first", "second"]
    first.close()  # type: ignore[attr-defined]
    assert current_name() is None
    second.close()  # type: ignore[attr-defined]
    assert caplog.records == []


def test_a_span_attached_across_a_suspension_is_still_current_after_it(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    @run.step("items")
    def items() -> Iterator[str | None]:
        with recording.tracer.start_as_current_span("inner"):
            yield current_name()
            yield current_name()
        yield current_name()

    with recording.tracer.start_as_current_span("around"):
        seen = [(inside, current_name()) for inside in items()]

    assert seen == [("inner", "around"), ("inner", "around"), ("items", "around")]
    assert caplog.records == []
