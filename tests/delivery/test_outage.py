"""A client, and an exporter, whose endpoint fails: what is said, what is counted, and what nobody has to wait for."""

import random
import re
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

import failpath_otel
from failpath_otel import DeliveryError, FailpathClient, FailpathSpanExporter, QueueFullError, SendError, limits
from tests.fault_server import (
    Behaviour,
    FaultServer,
    accepted,
    answer_before_reading,
    close_before_answering,
    close_while_answering,
    html,
    redirect,
    rejecting,
    silent,
    status,
    trickling,
)
from tests.keys import KEY
from tests.ports import unused_url
from tests.receiver import wait_for
from tests.spans.foreign import END_NS, a_span

Configure = Callable[..., FailpathClient]
SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
_SLOW_BYTES = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    """failpath_otel.configure() for providers of the test's own; at the end nothing waits for another try."""
    made: list[FailpathClient] = []

    def call(endpoint: str = server.url, **options: Any) -> FailpathClient:
        provider = TracerProvider(shutdown_on_exit=False)
        made.append(failpath_otel.configure(project_key=KEY, endpoint=endpoint, tracer_provider=provider, **options))
        return made[-1]

    yield call
    server.answer_with(accepted)
    for client in made:
        client.shutdown(5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another closely, and end after a while."""
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 0.01)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 0.05)


def steps(client: FailpathClient, count: int) -> None:
    run = client.run("checkout")
    for number in range(count):
        assert run.step(f"step-{number}", lambda: 7) == 7


BAD: dict[str, tuple[Behaviour, str]] = {
    "401": (status(401), "refused the project key"),
    "404": (status(404), "404"),
    "302": (redirect("/login"), "redirects to /login"),
    "200 with a page": (html, "no Failpath endpoint"),
    "503": (status(503), "503"),
    "a pause of an hour": (status(429, Retry_After="3600"), "fewer requests (429)"),
    "cut before answering": (close_before_answering, "could not be reached"),
    "cut while answering": (close_while_answering, "could not be reached"),
    "silent": (silent, "did not answer within 0.3 s"),
    "a byte a second": (trickling(_SLOW_BYTES, 1.0), "did not answer within 0.3 s"),
    "answer before reading": (answer_before_reading(503), ""),
    "closed before reading": (answer_before_reading(close=True), "could not be reached"),
}


@pytest.mark.parametrize(("behaviour", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_an_endpoint_that_does_not_take_records_is_never_counted_as_if_it_had(
    configure: Configure,
    server: FaultServer,
    caplog: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    said: str,
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(behaviour)
    client = configure(send_timeout=0.3, on_error=errors.append)
    steps(client, 3)
    began = monotonic()
    assert client.flush(0.5) is False
    assert monotonic() - began < 3
    assert client.stats().delivered == 0
    assert client.stats().accepted == client.stats().waiting + client.stats().dropped.get("send_failed", 0) == 6
    wait_for(lambda: errors)
    assert isinstance(errors[0], SendError)
    assert said in str(errors[0])
    assert errors[0].retrying == bool(client.stats().waiting)
    [line] = [message for message in caplog.messages if server.url in message]
    assert said in line
    assert KEY not in line + str(errors)


@pytest.mark.usefixtures("quick")
def test_bad_input_an_endpoint_where_nobody_listens_is_no_delivery(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_AGE_SECONDS", 0.2)
    errors: list[DeliveryError] = []
    client = configure(unused_url(), on_error=errors.append, journal=None)
    steps(client, 1)
    assert client.flush(10) is False
    assert (client.stats().delivered, client.stats().dropped) == (0, {"too_old": 2})
    wait_for(lambda: errors)
    assert "could not be reached" in str(errors[0])


@pytest.mark.usefixtures("quick")
def test_an_outage_of_many_batches_and_kinds_is_one_line_at_its_start_one_for_the_way_and_one_at_its_end(
    configure: Configure,
    server: FaultServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def own() -> list[str]:
        """The lines about this server: pipelines of other tests log as well, for which the limit is as short."""
        return [message for message in caplog.messages if server.url in message]

    monkeypatch.setattr(limits, "MAX_AGE_SECONDS", 0.2)
    server.answer_with(status(503), close_before_answering, status(410), status(429), status(404), status(503))
    client = configure(journal=None)
    steps(client, 900)
    wait_for(lambda: sum(client.stats().dropped.values()) == client.stats().accepted == 1_800, 20)
    lost = sum(client.stats().dropped.values())
    assert len(own()) == 2
    server.answer_with(accepted)
    steps(client, 1)
    wait_for(lambda: client.stats().delivered == 2)
    began, way, ended = own()
    assert "503" in began
    assert "410" in way  # it asks for something else than patience, and 404 for the same
    assert re.search(rf"takes records again after \d s; {lost} were lost", ended)


@pytest.mark.usefixtures("quick")
def test_steps_of_an_outage_arrive_in_their_order_each_once_when_it_is_over(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(status(503))
    client = configure()
    for _ in range(4):
        steps(client, 150)
        server.wait_for_requests(len(server.requests) + 1)
    server.answer_with(accepted)
    wait_for(lambda: client.stats().delivered == 1_200)
    assert client.flush(10) is True
    arrived = list({event["id"]: event for event in server.events}.values())
    assert len(arrived) == 1_200
    expected = [(f"step-{number}", status) for number in range(150) for status in ("running", "success")] * 4
    assert [(event["stepKey"], event["status"]) for event in arrived] == expected


def test_a_queue_that_fills_up_during_an_outage_refuses_new_steps_and_says_how_many(
    configure: Configure, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 3_600.0)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 3_600.0)
    errors: list[DeliveryError] = []
    server.answer_with(status(503))
    client = configure(max_queue_size=100, journal=None, on_error=errors.append)
    steps(client, 1_000)
    wait_for(lambda: server.requests)
    stats = client.stats()
    assert stats.waiting == 100
    assert stats.dropped == {"queue_full": 1_900}
    wait_for(lambda: sum(error.records for error in errors if isinstance(error, QueueFullError)) == 1_900)
    server.answer_with(accepted)
    assert client.flush(10) is False
    assert client.stats().delivered == 100
    ends = {event["stepKey"] for event in server.events if event["status"] == "success"}
    assert ends == {event["stepKey"] for event in server.events if event["status"] == "running"}


@pytest.mark.usefixtures("quick")
def test_an_outage_does_not_touch_the_random_numbers_of_the_application(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(status(503))
    client = configure()
    steps(client, 1)
    random.seed(7)
    before = random.getstate()
    server.wait_for_requests(len(server.requests) + 5)
    assert random.getstate() == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("raised", [ZeroDivisionError("mine"), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_on_error_raises_is_logged_and_hinders_nothing(
    configure: Configure, server: FaultServer, raised: BaseException
) -> None:
    called = threading.Event()

    def on_error(error: DeliveryError) -> None:
        called.set()
        raise raised

    server.answer_with(rejecting(0, 1), accepted)
    client = configure(on_error=on_error)
    steps(client, 1)
    assert called.wait(10)
    called.clear()
    server.answer_with(rejecting(0, 1), accepted)
    steps(client, 1)
    assert called.wait(10)
    steps(client, 1)
    wait_for(lambda: client.stats().delivered == 2)


def test_an_on_error_that_uses_the_client_waits_for_nothing_for_good(configure: Configure, server: FaultServer) -> None:
    said: list[bool] = []

    def on_error(error: DeliveryError) -> None:
        client.run("alarm").step("alarm", lambda: None)
        said.append(client.flush(5))

    server.answer_with(rejecting(0), accepted)
    client = configure(on_error=on_error)
    steps(client, 1)
    wait_for(lambda: said)
    assert said == [False]
    assert client.stats().delivered == 3


@pytest.fixture
def exporter(server: FaultServer) -> Iterator[FailpathSpanExporter]:
    made = FailpathSpanExporter(project_key=KEY, endpoint=server.url, send_timeout=0.4)
    yield made
    server.answer_with(accepted)
    made.shutdown()


@pytest.mark.parametrize("behaviour", [status(503), silent, close_before_answering], ids=["503", "silent", "cut"])
def test_the_first_export_of_an_outage_is_one_attempt_and_later_ones_join_the_tail(
    exporter: FailpathSpanExporter, server: FaultServer, behaviour: Behaviour
) -> None:
    server.answer_with(behaviour)
    for number in range(3):
        began = monotonic()
        assert exporter.export([a_span(end_ns=END_NS + number)]) is FAILURE
        assert monotonic() - began < 2
        assert number > 0 or len(server.requests) == 1
        assert exporter.stats().waiting == 2 * (number + 1)
    began = monotonic()
    assert exporter.force_flush(200) is False
    assert monotonic() - began < 2
    wait_for(lambda: exporter._ended.pipeline.sender.retries)  # the attempt of the flush is over
    server.answer_with(accepted)
    before = len(server.requests)
    exporter.export([a_span(end_ns=END_NS + 3)])
    assert exporter.force_flush(10_000) is True
    arrived = [event for request in server.requests[before:] for event in request.events]
    assert [event["status"] for event in arrived] == ["running", "success"] * 4
    ends = [event["timestamp"] for event in arrived if event["status"] == "success"]
    assert ends == sorted(ends)


def test_an_export_during_a_pause_that_the_server_asked_for_makes_no_attempt_and_fails_at_once(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    server.answer_with(status(503, Retry_After="60"))
    assert exporter.export([a_span()]) is FAILURE
    began = monotonic()
    assert exporter.export([a_span()]) is FAILURE
    assert monotonic() - began < 5
    assert len(server.requests) == 1
    server.answer_with(accepted)
    exporter._ended.pipeline.sender.retries.succeeded()  # or the end of the test would wait for a minute


def test_an_exporter_that_is_shut_down_during_an_outage_ends_in_time_and_takes_no_more(
    exporter: FailpathSpanExporter, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FLUSH_TIMEOUT", 0.3)
    server.answer_with(status(503))
    assert exporter.export([a_span()]) is FAILURE
    began = monotonic()
    exporter.shutdown()
    assert monotonic() - began < 2
    assert exporter.export([a_span()]) is FAILURE
    assert exporter.stats().dropped == {"shut_down": 2}
