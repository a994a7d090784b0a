"""A host's span limits: they cut what stands on its spans, and nothing of what goes to Failpath."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import failpath_otel
from failpath_otel import Failpath, FailpathClient, FailpathSpanProcessor
from failpath_otel.testing import MockFailpath
from tests.fault_server import FaultServer
from tests.steps.forms import FORMS, Form

KEY = "fp_project_0123456789_secret"
MESSAGE = "the card was declined " + "by its issuer " * 30
NAME = "tests.test_host_limits.DeclinedError"
LIMITS: dict[str, dict[str, str]] = {
    "values of 250 characters": {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "250"},
    "values of 3 characters": {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"},
    "one event": {"OTEL_SPAN_EVENT_COUNT_LIMIT": "1"},
    "no event": {"OTEL_SPAN_EVENT_COUNT_LIMIT": "0"},
    "one attribute of an event": {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "1"},
    "one attribute": {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1"},
    "all of them": {
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3",
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "1",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "1",
    },
}
every_limit = pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())


class DeclinedError(Exception):
    """Has a long name in full."""


def decline() -> None:
    raise DeclinedError(MESSAGE)


def use(monkeypatch: pytest.MonkeyPatch, limits: dict[str, str]) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def configured(server: FaultServer) -> Iterator[Callable[..., FailpathClient]]:
    made: list[FailpathClient] = []

    def configure(provider: TracerProvider | None = None, **options: Any) -> FailpathClient:
        provider = TracerProvider(shutdown_on_exit=False) if provider is None else provider
        options = {"capture_stack": True, **options}
        made.append(failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, **options))
        return made[-1]

    yield configure
    for client in made:
        client.shutdown(0)


def outcome(client: FailpathClient, server: FaultServer) -> Any:
    assert client.flush(20)
    return server.events[-1]


def check_error(error: dict[str, str]) -> None:
    assert (error["name"], error["message"]) == (NAME, MESSAGE)
    assert error["stack"].startswith("Traceback (most recent call last):\n")
    assert "in decline\n" in error["stack"]
    assert error["stack"].endswith(f"{NAME}: {MESSAGE}\n")


@every_limit
def test_an_error_travels_uncut(
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., FailpathClient],
    server: FaultServer,
    limits: dict[str, str],
) -> None:
    use(monkeypatch, limits)
    client = configured()
    with pytest.raises(DeclinedError):
        client.run("checkout").step("charge", decline)
    record = outcome(client, server)
    assert record["status"] == "error"
    check_error(record["error"])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_an_error_travels_uncut_out_of_every_form_of_a_step(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[..., FailpathClient], server: FaultServer, form: Form
) -> None:
    use(monkeypatch, LIMITS["all of them"])
    client = configured()
    with pytest.raises(DeclinedError):
        form(client, client.run("checkout"), "charge", decline)
    check_error(outcome(client, server)["error"])


def test_of_steps_inside_of_each_other_each_has_its_own_error_uncut(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[..., FailpathClient], server: FaultServer
) -> None:
    use(monkeypatch, LIMITS["all of them"])
    client = configured()
    run = client.run("checkout")

    def outer() -> None:
        with pytest.raises(DeclinedError):
            run.step("inner", decline)
        raise LookupError(MESSAGE)

    with pytest.raises(LookupError):
        run.step("outer", outer)
    assert client.flush(20)
    errors = {event["stepKey"]: event["error"]["name"] for event in server.events if event["status"] == "error"}
    assert errors == {"inner": NAME, "outer": "LookupError"}


@every_limit
def test_an_error_recorded_by_hand_travels_uncut(
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., FailpathClient],
    server: FaultServer,
    limits: dict[str, str],
) -> None:
    use(monkeypatch, limits)
    client = configured()
    error = {"name": "acme.CardDeclined", "message": MESSAGE, "stack": "at charge (shop.js:7)\n" * 30}
    client.record_step(
        flow_key="checkout", run_id="r", step_key="charge", status="error", error=error, metadata={"note": MESSAGE}
    )
    record = outcome(client, server)
    assert (record["status"], record["error"], record["metadata"]) == ("error", error, {"note": MESSAGE})


@every_limit
def test_metadata_that_is_set_late_travels_uncut(
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., FailpathClient],
    server: FaultServer,
    limits: dict[str, str],
) -> None:
    use(monkeypatch, limits)
    client = configured()
    box = {"sizes": [1, 2, {"unit": "centimetres"}]}
    early = {"early": MESSAGE, "changed": {"a": 1}, "words": ["short", MESSAGE]}
    with client.run("checkout", metadata=early).step("charge") as step:
        step.set_metadata(late=MESSAGE, box=box, changed="back", more=[MESSAGE, MESSAGE], numbers=[1, 2])
        step.set_metadata(count=3)
    record = outcome(client, server)
    assert record["status"] == "success"
    late = {"changed": "back", "late": MESSAGE, "box": box, "count": 3, "more": [MESSAGE] * 2, "numbers": [1, 2]}
    assert record["metadata"] == {**early, **late}


@every_limit
def test_metadata_that_was_there_from_the_start_travels_uncut_with_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., FailpathClient],
    server: FaultServer,
    limits: dict[str, str],
) -> None:
    use(monkeypatch, limits)
    client = configured()
    given = {"text": MESSAGE, "words": ["short", MESSAGE], "nested": {"a": [MESSAGE]}, "numbers": [1, 2]}
    with client.run("checkout", metadata=given).step("charge"):
        trace.get_current_span().set_attribute("other", "short")
    assert outcome(client, server)["metadata"] == given


def test_what_others_set_on_the_span_after_the_step_has_set_it_still_wins(
    configured: Callable[..., FailpathClient], server: FaultServer
) -> None:
    client = configured()
    with client.run("checkout", metadata={"a": 1}).step("charge") as step:
        step.set_metadata(a=2, b="by the step")
        trace.get_current_span().set_attributes({"failpath.metadata.b": "by hand", "failpath.metadata.c": 3})
    assert outcome(client, server)["metadata"] == {"a": 2, "b": "by hand", "c": 3}


def test_the_limits_of_this_package_hold_all_the_same(
    configured: Callable[..., FailpathClient], server: FaultServer
) -> None:
    client = configured()

    def fail() -> None:
        raise type("N" * 1000, (Exception,), {})("m" * 100_000)

    with pytest.raises(Exception, match="m"):
        client.run("checkout").step("charge", fail)
    error = outcome(client, server)["error"]
    assert len(error["name"]) <= 256
    assert len(error["message"]) <= 4_096
    assert len(error["stack"]) <= 16_384


def test_secrets_in_an_error_that_travels_uncut_are_redacted_and_redact_is_asked(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[..., FailpathClient], server: FaultServer
) -> None:
    use(monkeypatch, LIMITS["values of 250 characters"])
    seen: dict[str, object] = {}

    def redact(key: str, value: Any) -> Any:
        seen[key] = value
        return "hidden" if key == "error.message" else value

    client = configured(redact=redact)

    def fail() -> None:
        raise ValueError(f"{'x' * 300} password=hunter2 {'y' * 300}")

    with pytest.raises(ValueError, match="hunter2"):
        client.run("checkout").step("charge", fail)
    error = outcome(client, server)["error"]
    assert error["message"] == "hidden"
    assert "y" * 300 in str(seen["error.message"])
    assert "hunter2" not in str(seen) + str(error)


def test_what_stands_on_the_span_stays_as_the_host_limits_it(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[..., FailpathClient]
) -> None:
    use(monkeypatch, LIMITS["values of 250 characters"])
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.raises(DeclinedError):
        configured(provider).run("checkout").step("charge", decline)
    [span] = exporter.get_finished_spans()
    [event] = [event for event in span.events if event.name == "exception"]
    assert len(str((event.attributes or {})["exception.message"])) == 250


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(
            lambda: TracerProvider(
                shutdown_on_exit=False, span_limits=SpanLimits(max_events=1, max_attribute_length=3)
            ),
            id="limits in code",
        ),
        pytest.param(lambda: TracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF), id="the private provider"),
    ],
)
def test_an_error_travels_uncut_by_every_provider(
    monkeypatch: pytest.MonkeyPatch,
    configured: Callable[..., FailpathClient],
    server: FaultServer,
    provider: Callable[[], TracerProvider],
) -> None:
    use(monkeypatch, LIMITS["all of them"])
    client = configured(provider())
    with pytest.raises(DeclinedError):
        client.run("checkout").step("charge", decline)
    check_error(outcome(client, server)["error"])


def test_an_error_travels_uncut_to_a_processor_that_was_wired_by_hand(
    monkeypatch: pytest.MonkeyPatch, server: FaultServer
) -> None:
    use(monkeypatch, LIMITS["all of them"])
    provider = TracerProvider(shutdown_on_exit=False)
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, capture_stack=True)
    provider.add_span_processor(processor)
    with pytest.raises(DeclinedError):
        Failpath(tracer_provider=provider).run("checkout").step("charge", decline)
    assert processor.force_flush(20_000)
    check_error(server.events[-1]["error"])
    provider.shutdown()


def test_an_error_in_the_mock_is_uncut(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LIMITS["all of them"])
    failpath = MockFailpath(capture_stack=True)
    with pytest.raises(DeclinedError):
        failpath.run("checkout").step("charge", decline)
    error = failpath.events[-1].error
    assert error is not None
    assert (error.name, error.message, "in decline\n" in str(error.stack)) == (NAME, MESSAGE, True)


def test_an_error_travels_uncut_where_others_have_ended_the_span(
    monkeypatch: pytest.MonkeyPatch, configured: Callable[..., FailpathClient], server: FaultServer
) -> None:
    use(monkeypatch, LIMITS["all of them"])
    client = configured()

    def fail() -> None:
        trace.get_current_span().end()
        decline()

    with pytest.raises(DeclinedError):
        client.run("checkout").step("charge", fail)
    check_error(outcome(client, server)["error"])
