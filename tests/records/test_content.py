"""default_metadata, capture_stack and redact: what the records of any span carry, and what they must not show."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider, StatusCode

import failpath_otel
from failpath_otel import FailpathClient, FailpathSpanExporter, FailpathSpanProcessor, limits, report
from failpath_otel.records.content import RecordContent
from failpath_otel.scrubbing.values import DROPPED_KEYS, REDACTED, Json
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.spans.foreign import IDENTITY, a_span, event, tracer_with

SECRET = "4242-4242"
FAILED = event("exception", exception__type="Declined", exception__message=SECRET, exception__stacktrace=f"at {SECRET}")
NewProcessor = Callable[..., FailpathSpanProcessor]
Configure = Callable[..., FailpathClient]


@pytest.fixture(autouse=True)
def _faults_are_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        options |= {"endpoint": server.url, "tracer_provider": NoOpTracerProvider()}
        made.append(failpath_otel.configure(project_key=KEY, **options))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


def by_processor(server: FaultServer, attributes: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    """What a span of another tracer becomes, reported live."""
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, **options)
    with tracer_with(processor).start_as_current_span("s", attributes={**IDENTITY, **attributes}) as span:
        span.add_event(FAILED.name, FAILED.attributes)
        span.set_status(StatusCode.ERROR)
    processor.shutdown()
    return server.events


def by_exporter(server: FaultServer, attributes: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    """What it becomes once it has ended."""
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, **options)
    exporter.export([a_span(attributes, events=[FAILED], status=StatusCode.ERROR)])
    exporter.shutdown()
    return server.events


reported = pytest.mark.parametrize("events_of", [by_processor, by_exporter])
EventsOf = Callable[..., list[dict[str, Any]]]


def all_of(server: FaultServer) -> str:
    return b"".join(request.body for request in server.requests).decode()


@reported
def test_default_metadata_is_under_the_metadata_of_every_record_of_a_foreign_span(
    server: FaultServer, events_of: EventsOf
) -> None:
    attributes = {"failpath.metadata.region": "eu", "failpath.metadata_json.cart": '{"items": [1]}'}
    events = events_of(server, attributes, default_metadata={"region": "us", "service": {"name": "shop"}})
    assert [sent["status"] for sent in events] == ["running", "error"]
    for sent in events:
        assert sent["metadata"] == {"region": "eu", "service": {"name": "shop"}, "cart": {"items": [1]}}


@reported
def test_default_metadata_is_made_clean_once_and_later_changes_of_the_mapping_change_nothing(
    server: FaultServer, events_of: EventsOf
) -> None:
    given: dict[str, object] = {"tags": {"b", "a"}, "api_key": SECRET, "raw": b"bytes"}
    events = events_of(server, {}, default_metadata=given)
    assert events[0]["metadata"] == {"tags": ["a", "b"], "api_key": REDACTED, "raw": "bytes"}
    content = RecordContent(default_metadata={"a": 1})
    content.metadata({})["a"] = 2
    assert content.metadata({}) == {"a": 1}


@reported
@pytest.mark.parametrize("captured", [False, True])
def test_the_stack_of_a_foreign_span_travels_only_with_capture_stack(
    server: FaultServer, events_of: EventsOf, captured: bool
) -> None:
    error = events_of(server, {}, capture_stack=captured)[1]["error"]
    assert error == {"name": "Declined", "message": SECRET, **({"stack": f"at {SECRET}"} if captured else {})}


@reported
def test_redact_sees_each_item_and_each_text_of_an_error_and_decides_what_is_sent(
    server: FaultServer, events_of: EventsOf
) -> None:
    seen: dict[str, Json] = {}

    def redact(key: str, value: Json) -> Json:
        seen[key] = value
        return json.loads(json.dumps(value).replace(SECRET, "****"))  # type: ignore[no-any-return]

    events = events_of(
        server,
        {"failpath.metadata.card": SECRET, "failpath.metadata_json.paid": json.dumps({"with": [SECRET]})},
        default_metadata={"region": "eu"},
        capture_stack=True,
        redact=redact,
    )
    assert SECRET not in all_of(server)
    assert events[0]["metadata"] == {"region": "eu", "card": "****", "paid": {"with": ["****"]}}
    assert events[1]["metadata"] == events[0]["metadata"]
    assert events[1]["error"] == {"name": "Declined", "message": "****", "stack": "at ****"}
    assert seen.keys() == {"region", "card", "paid", "error.message", "error.stack"}


@reported
def test_bad_input_a_redact_that_raises_shows_nothing_and_is_logged_once(
    server: FaultServer, events_of: EventsOf, caplog: pytest.LogCaptureFixture
) -> None:
    def redact(key: str, value: Json) -> Json:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "failpath_otel"):
        events = events_of(server, {"failpath.metadata.card": SECRET}, capture_stack=True, redact=redact)
    assert SECRET not in all_of(server)
    assert [sent["metadata"] for sent in events] == [{"card": REDACTED}] * 2
    assert events[1]["error"] == {"name": "Declined", "message": REDACTED, "stack": REDACTED}
    assert [record.message.count("calling redact") for record in caplog.records] == [1]


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, RecursionError, StopIteration, AssertionError])
def test_bad_input_whatever_redact_raises_is_swallowed(error: type[BaseException]) -> None:
    def redact(key: str, value: Json) -> Json:
        raise error

    content = RecordContent(redact=redact)
    assert content.metadata({"card": SECRET}) == {"card": REDACTED}
    assert content.text("error.message", SECRET, 100) == REDACTED


class NoText:
    def __str__(self) -> str:
        raise ZeroDivisionError


def a_cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    "returned",
    [
        None,
        NoText(),
        object(),
        a_cycle(),
        b"\xff",
        float("nan"),
        10**100,
        {1, 2},
        "x" * 100_000,
        "\ud800",
        NoText,
        print,
    ],
    ids=lambda value: type(value).__name__,
)
def test_bad_input_garbage_from_redact_is_made_clean_and_costs_no_record(server: FaultServer, returned: object) -> None:
    attributes = {"failpath.metadata.card": SECRET}
    events = by_exporter(server, attributes, capture_stack=True, redact=lambda key, value: returned)
    assert [sent["status"] for sent in events] == ["running", "error"]
    assert all("card" in sent["metadata"] for sent in events)
    assert isinstance(events[1]["error"]["message"], str)
    assert len(events[1]["error"]["message"]) <= limits.MAX_ERROR_MESSAGE_CHARS
    assert SECRET not in all_of(server)


@pytest.mark.parametrize("redact", [lambda: None, lambda key: None, lambda key, value, more: None])
def test_bad_input_a_redact_with_other_parameters_shows_nothing(redact: Any) -> None:
    assert RecordContent(redact=redact).metadata({"card": SECRET}) == {"card": REDACTED}


def test_bad_input_a_redact_that_flushes_shows_and_flushes(server: FaultServer, new_processor: NewProcessor) -> None:
    def redact(key: str, value: Json) -> Json:
        return [value, made[0].flush(10)]

    made = [new_processor(server.url, redact=redact)]
    tracer_with(made[0]).start_span("s", attributes={**IDENTITY, "failpath.metadata.card": "a"}).end()
    assert made[0].flush()
    assert [sent["metadata"] for sent in server.events] == [{"card": ["a", True]}] * 2


def test_bad_input_a_redact_that_blocks_holds_up_no_other_thread(
    server: FaultServer, new_processor: NewProcessor
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def redact(key: str, value: Json) -> Json:
        if value == "slow":
            entered.set()
            assert gate.wait(30)
        return value

    processor = new_processor(server.url, redact=redact)
    tracer = tracer_with(processor)

    def step(card: str) -> None:
        tracer.start_span("s", attributes={**IDENTITY, "failpath.metadata.card": card}).end()

    slow = threading.Thread(target=step, args=("slow",))
    slow.start()
    assert entered.wait(10)
    step("quick")
    assert processor.flush()
    assert [sent["metadata"]["card"] for sent in server.events] == ["quick"] * 2
    gate.set()
    slow.join(10)
    assert processor.flush()
    assert len(server.events) == 4


def test_where_the_keys_are_too_many_the_steps_own_stay_and_what_is_missing_is_counted() -> None:
    own: dict[str, Json] = {f"own-{number}": number for number in range(60)}
    content = RecordContent(default_metadata={f"default-{number}": number for number in range(10)})
    metadata = content.metadata(own)
    assert own.items() <= metadata.items()
    assert len(metadata.keys() - {DROPPED_KEYS}) == limits.MAX_METADATA_KEYS
    assert metadata[DROPPED_KEYS] == 70 - limits.MAX_METADATA_KEYS


class Texted:
    """Metadata whose text is made by a function."""

    def __init__(self, text: Callable[[], str]) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text()


def test_bad_input_metadata_that_comes_back_to_us_is_answered(server: FaultServer, configure: Configure) -> None:
    def text() -> str:
        client.run("checkout").step("inside", lambda: None)
        return f"{client.flush(10)} {configure().flush(10)}"

    client = configure()
    assert client.run("checkout").step("pack", lambda: 7, metadata={"of": Texted(text)}) == 7
    assert client.flush()
    assert [sent["metadata"] for sent in server.events if sent["stepKey"] == "pack"] == [{"of": "True True"}] * 2


def test_bad_input_metadata_that_opens_steps_without_end_is_ended(server: FaultServer, configure: Configure) -> None:
    def text() -> str:
        return str(client.run("checkout", metadata={"of": Texted(text)}).step("inside", lambda: "text"))

    before = sys.getrecursionlimit()
    client = configure()
    assert client.run("checkout", metadata={"of": Texted(text)}).step("pack", lambda: 7) == 7
    client.flush()  # where the stack ends, some records are lost
    assert sys.getrecursionlimit() == before
    assert [sent["status"] for sent in server.events if sent["stepKey"] == "pack"] == ["running", "success"]


def test_bad_input_metadata_that_blocks_holds_up_no_other_thread(server: FaultServer, configure: Configure) -> None:
    entered, gate = threading.Event(), threading.Event()

    def text() -> str:
        entered.set()
        assert gate.wait(30)
        return "text"

    client = configure()
    run = client.run("checkout")
    slow = threading.Thread(target=run.step, args=("slow", lambda: None), kwargs={"metadata": {"of": Texted(text)}})
    slow.start()
    assert entered.wait(10)
    assert run.step("quick", lambda: 7) == 7
    assert client.flush()
    assert {sent["stepKey"] for sent in server.events} == {"quick"}
    gate.set()
    slow.join(10)
    assert client.flush()


@pytest.mark.parametrize(
    ("default", "own", "missing"),
    [
        ({"d": 1}, {f"o{number}": number for number in range(64)}, 1),
        ({"d": 1, "e": 1}, {**{f"o{number}": number for number in range(64)}, DROPPED_KEYS: 6}, 8),
        ({}, {**{f"o{number}": number for number in range(64)}, DROPPED_KEYS: 6}, 6),
    ],
    ids=["one default", "more of them", "no default"],
)
def test_keys_for_which_there_is_no_room_are_counted_with_those_before(
    default: dict[str, Json], own: dict[str, Json], missing: int
) -> None:
    content = RecordContent(default_metadata=default, redact=lambda key, value: value)
    assert content.metadata(own)[DROPPED_KEYS] == missing


def test_values_that_redact_makes_longer_cost_no_other_metadata() -> None:
    content = RecordContent(redact=lambda key, value: "z" * 4_096)
    metadata = content.metadata({f"k{number}": "x" for number in range(30)})
    assert "k0" in metadata
    assert len(json.dumps(metadata)) < limits.MAX_METADATA_BYTES * 1.1


def test_large_default_metadata_never_costs_the_steps_own() -> None:
    content = RecordContent(default_metadata={f"d{number}": '"' * 1_900 for number in range(8)})
    own: dict[str, Json] = {"order": 7, **{f"o{number}": "x" * 4_000 for number in range(7)}}
    assert own.items() <= content.metadata(own).items()


def test_bad_input_a_redact_that_records_steps_does_not_multiply(server: FaultServer, configure: Configure) -> None:
    calls: list[str] = []

    def redact(key: str, value: Json) -> Json:
        calls.append(key)
        assert len(calls) < 5_000
        client.run("checkout", metadata={"a": 1}).step("inside", lambda: None)
        return value

    client = configure(redact=redact)
    assert client.run("checkout", metadata={"a": 1}).step("pack", lambda: 7) == 7
    assert client.flush()
    assert calls == ["a", "a"]
    assert {str(sent["metadata"]) for sent in server.events if sent["stepKey"] == "inside"} == {"{'a': '[redacted]'}"}
