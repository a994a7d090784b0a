"""The stack of an exception that others have recorded: what goes to Failpath has no frame of this package."""

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import failpath_otel
from failpath_otel import FailpathClient, StepRule
from failpath_otel.records.stacks import without_our_frames
from tests.fault_server import FaultServer

KEY = "fp_project_0123456789_secret"


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


@pytest.fixture
def client(server: FaultServer, provider: TracerProvider) -> Iterator[FailpathClient]:
    rules = [StepRule("shop", "request", span_name="POST /charge")]
    made = failpath_otel.configure(
        project_key=KEY, endpoint=server.url, tracer_provider=provider, capture_stack=True, rules=rules
    )
    yield made
    made.shutdown(0)


def decline() -> None:
    raise LookupError("no")


def through_steps(client: FailpathClient) -> str:
    """The text of a traceback that has gone through several forms of steps, as others format it."""
    run = client.run("checkout")

    @run.step("async")
    async def work() -> None:
        async with run.step("block"):
            run.step("inner", decline)

    try:
        run.step("outer", lambda: asyncio.run(work()))
    except LookupError as error:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    raise AssertionError


def test_the_stack_of_a_step_by_rule_has_no_frame_of_this_package(
    client: FailpathClient, server: FaultServer, provider: TracerProvider
) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("of another library")
    with pytest.raises(LookupError), tracer.start_as_current_span("POST /charge"):
        client.run("checkout").step("charge", decline)
    assert client.flush(20)
    [error] = [event["error"] for event in server.events if event["stepKey"] == "request" and "error" in event]
    assert f"{Path(failpath_otel.__file__).parent}" not in error["stack"]
    assert error["stack"].startswith("Traceback (most recent call last):\n")
    assert ", in decline\n" in error["stack"]
    assert error["stack"].endswith('    raise LookupError("no")\nLookupError: no\n')
    [span] = [span for span in exporter.get_finished_spans() if span.name == "POST /charge"]
    [event] = [event for event in span.events if event.name == "exception"]
    assert "failpath_otel/steps/" in str((event.attributes or {})["exception.stacktrace"]), "it is theirs"


def test_only_whole_frames_of_this_package_are_taken_out_and_all_others_stay_as_they_are(
    client: FailpathClient,
) -> None:
    text = through_steps(client)
    assert "failpath_otel/steps/" in text
    left = without_our_frames(text)
    assert "failpath_otel/steps/" not in left
    ours = False
    expected = []
    for line in text.splitlines(keepends=True):
        if line.startswith("  File ") or not line.startswith("    "):
            ours = "failpath_otel/steps/" in line
        if not ours:
            expected.append(line)
    assert left == "".join(expected)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no exception groups yet")
def test_so_are_those_of_the_members_of_a_group_and_of_causes(client: FailpathClient) -> None:
    group: Any = ExceptionGroup  # type: ignore[name-defined, unused-ignore] # noqa: F821 - see above
    errors: list[Exception] = []
    for _ in range(2):
        try:
            client.run("checkout").step("charge", decline)
        except LookupError as error:
            errors.append(error)
    try:
        raise group("both", errors) from errors[0]
    except Exception as error:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    left = without_our_frames(text)
    assert text.count("failpath_otel/steps/") >= 3
    assert "failpath_otel/steps/" not in left
    assert left.count(", in decline\n") == text.count(", in decline\n")
    assert left.count('raise LookupError("no")') == text.count('raise LookupError("no")')


def test_a_long_stack_is_rid_of_them_before_it_is_cut(
    client: FailpathClient, server: FaultServer, provider: TracerProvider
) -> None:
    def deeper(depth: int) -> object:
        return client.run("checkout").step("charge", lambda: deeper(depth - 1) if depth else decline())

    tracer = provider.get_tracer("of another library")
    with pytest.raises(LookupError), tracer.start_as_current_span("POST /charge"):
        deeper(60)
    assert client.flush(20)
    [error] = [event["error"] for event in server.events if event["stepKey"] == "request" and "error" in event]
    assert "failpath_otel/steps/" not in error["stack"]
    assert error["stack"].count(", in deeper\n") > 20, "cut afterwards"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "at charge (shop.js:7)",
        'Traceback (most recent call last):\n  File "/srv/app/steps/wrap.py", line 1, in x\n    failpath_otel/steps/\n',
        'the message\n  names "failpath_otel/steps/wrap.py", line 3',
    ],
)
def test_what_has_no_such_frame_stays_as_it_is(text: str) -> None:
    assert without_our_frames(text) == text


def test_a_stack_of_another_process_is_known_by_its_path_too() -> None:
    ours = '  File "C:\\venv\\site-packages\\failpath_otel\\steps\\wrap.py", line 66, in call\n    result = fn()\n'
    theirs = '  File "C:\\app\\shop.py", line 2, in pay\n    charge()\n'
    assert without_our_frames(f"Traceback:\n{ours}{theirs}{ours}E: no\n") == f"Traceback:\n{theirs}E: no\n"


def test_a_stack_that_ends_in_a_frame_or_is_huge_costs_a_moment() -> None:
    frame = '  File "/x/failpath_otel/steps/wrap.py", line 66, in call\n    result = fn()'
    assert without_our_frames(f"a\n{frame}") == "a\n"
    assert without_our_frames("\n".join([frame] * 10_000)) == ""
    make: Callable[[int], str] = lambda number: " " * number + "| failpath_otel/steps/" + " |" * number  # noqa: E731
    assert without_our_frames(make(20_000)) == make(20_000)
