"""``throw_on_send_error``: which calls raise a failed delivery, and which never do."""

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import (
    DeliveryError,
    FailpathClient,
    QueueFullError,
    RecordsRejectedError,
    Run,
    SendError,
    ShutdownError,
    limits,
)
from failpath_otel.instrumentor import FailpathInstrumentor
from tests.fault_server import Behaviour, Exchange, FaultServer, accepted, held, rejecting, silent, status
from tests.receiver import wait_for
from tests.steps.forms import FUTURE_FORMS, IN_TASK_FORMS, SYNC_FORMS, Form

KEY = "fp_project_0123456789_secret"
AWAITED_FORMS = {**SYNC_FORMS, **IN_TASK_FORMS}
FAILURES: dict[str, Behaviour] = {"401": status(401), "503": status(503), "silent": silent}
Configure = Callable[..., FailpathClient]
Flush = Callable[[FailpathClient, float], bool]

every_form = pytest.mark.parametrize("form", AWAITED_FORMS.values(), ids=AWAITED_FORMS.keys())
every_flush = pytest.mark.parametrize(
    "flush",
    [
        pytest.param(lambda client, timeout: client.flush(timeout), id="flush"),
        pytest.param(lambda client, timeout: asyncio.run(client.aflush(timeout)), id="aflush"),
    ],
)
every_end = pytest.mark.parametrize(
    "flush",
    [
        pytest.param(lambda client, timeout: client.flush(timeout), id="flush"),
        pytest.param(lambda client, timeout: client.shutdown(timeout), id="shutdown"),
    ],
)


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider(shutdown_on_exit=False)


def _is_empty(client: FailpathClient) -> bool:
    with suppress(DeliveryError):  # what no test has asked for yet
        client.shutdown(0.3)
    return not client.stats().waiting


@pytest.fixture
def configure(server: FaultServer, provider: TracerProvider) -> Iterator[Configure]:
    """Makes clients that throw; at the end nothing waits for another try."""
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        given: dict[str, Any] = {"throw_on_send_error": True, "send_timeout": 0.15, **options}
        made.append(failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, **given))
        return made[-1]

    yield call
    server.answer_with(accepted)
    for client in made:
        wait_for(functools.partial(_is_empty, client))


def a_step(client: FailpathClient) -> None:
    assert client.run("checkout").step("pack", lambda: 7) == 7


@every_flush
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_in_the_background_a_flush_that_did_not_deliver_raises_why_and_steps_never_do(
    configure: Configure, server: FaultServer, flush: Flush, failure: Behaviour
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(failure)
    client = configure(on_error=errors.append)
    a_step(client)
    wait_for(lambda: errors)
    with pytest.raises(SendError) as caught:
        flush(client, 0.5)
    assert caught.value.records == 2
    assert KEY not in str(caught.value)
    a_step(client)


@every_end
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_shutdown_that_did_not_deliver_raises_why_as_a_flush_does(
    configure: Configure, server: FaultServer, flush: Flush, failure: Behaviour
) -> None:
    server.answer_with(failure)
    client = configure()
    a_step(client)
    with pytest.raises(SendError) as caught:
        flush(client, 0.5)
    assert caught.value.records == 2


def test_a_shutdown_raises_a_loss_and_takes_no_more_records_all_the_same(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(rejecting(0, reason="unknown flow"), accepted)
    client = configure()
    a_step(client)
    with pytest.raises(RecordsRejectedError, match="unknown flow"):
        client.shutdown(10)
    a_step(client)
    assert client.stats().dropped == {"rejected": 1, "shut_down": 2}
    with pytest.raises(ShutdownError):
        client.shutdown(10)


@pytest.mark.parametrize("throws", [True, False])
def test_a_shutdown_says_what_the_flush_said_where_nothing_is_to_be_raised(
    configure: Configure, server: FaultServer, throws: bool
) -> None:
    if not throws:
        server.answer_with(rejecting(0), accepted)
    client = configure(throw_on_send_error=throws)
    a_step(client)
    assert client.shutdown(10) is throws


def test_the_end_of_the_instrumentation_without_code_raises_nothing(
    configure: Configure, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer_with(rejecting(0), accepted)
    client = configure()
    a_step(client)
    instrumentor = FailpathInstrumentor()
    instrumentor._client = client
    instrumentor.uninstrument()
    assert client.stats().dropped == {"rejected": 1}


@every_flush
def test_each_loss_is_raised_once_and_a_flush_with_no_new_loss_is_false(
    configure: Configure, server: FaultServer, flush: Flush
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(rejecting(0, reason="the first"), accepted)
    client = configure(on_error=errors.append)
    a_step(client)
    wait_for(lambda: errors)
    with pytest.raises(RecordsRejectedError, match="the first"):
        flush(client, 10)
    assert flush(client, 10) is False
    server.answer_with(rejecting(0, reason="the second"), accepted)
    a_step(client)
    wait_for(lambda: len(errors) == 2)
    with pytest.raises(RecordsRejectedError, match="the second"):
        flush(client, 10)


@every_flush
def test_the_first_of_several_losses_is_the_one_that_is_raised(
    configure: Configure, server: FaultServer, flush: Flush
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, rejecting(0)), status(404))
    client = configure(send_timeout=10)
    a_step(client)
    server.wait_for_requests(1)
    a_step(client)
    gate.set()
    with pytest.raises(RecordsRejectedError):
        flush(client, 10)


@every_flush
def test_a_full_queue_is_a_loss_that_a_flush_raises(configure: Configure, server: FaultServer, flush: Flush) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    client = configure(max_queue_size=2, send_timeout=10, journal=None)
    a_step(client)
    a_step(client)
    gate.set()
    with pytest.raises(QueueFullError):
        flush(client, 10)


@every_flush
def test_a_flush_that_delivered_everything_raises_nothing(
    configure: Configure, server: FaultServer, flush: Flush, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 0.01)
    server.answer_with(status(503), accepted)
    client = configure()
    a_step(client)
    assert flush(client, 10) is True


@pytest.mark.parametrize("delivery", ["background", "await"])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_what_a_provider_calls_never_raises(
    configure: Configure, server: FaultServer, provider: TracerProvider, failure: Behaviour, delivery: str
) -> None:
    server.answer_with(failure)
    client = configure(delivery=delivery)
    try:
        a_step(client)
    except SendError:
        assert delivery == "await"
    assert provider.force_flush(200) is False
    with pytest.raises(SendError):
        client.shutdown(0.1)
    server.answer_with(accepted)
    provider.shutdown()


@every_form
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_an_awaited_step_raises_after_its_body_ran_exactly_once(
    configure: Configure, server: FaultServer, form: Form, failure: Behaviour
) -> None:
    server.answer_with(failure)
    client, calls = configure(delivery="await"), []
    with pytest.raises(SendError) as caught:
        form(client, client.run("checkout"), "pack", lambda: calls.append(1))
    assert calls == [1]
    assert caught.value.records == 1


@every_form
def test_an_error_of_the_application_goes_before_the_one_of_the_delivery(
    configure: Configure, server: FaultServer, form: Form
) -> None:
    server.answer_with(status(401))
    client, error = configure(delivery="await"), ValueError("mine")

    def body() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        form(client, client.run("checkout"), "pack", body)
    assert caught.value is error
    assert not isinstance(error.__context__, DeliveryError)


@every_form
def test_an_awaited_step_that_was_delivered_raises_nothing(
    configure: Configure, server: FaultServer, form: Form
) -> None:
    client = configure(delivery="await", send_timeout=10)
    assert form(client, client.run("checkout"), "pack", lambda: 7) == 7
    assert client.flush(10) is True


@every_form
@pytest.mark.parametrize("delivery", ["background", "await"])
def test_by_default_nothing_raises(configure: Configure, server: FaultServer, form: Form, delivery: str) -> None:
    server.answer_with(status(401))
    client = configure(delivery=delivery, throw_on_send_error=False)
    assert form(client, client.run("checkout"), "pack", lambda: 7) == 7
    assert client.flush(10) is False


@pytest.mark.parametrize("form", FUTURE_FORMS.values(), ids=FUTURE_FORMS.keys())
def test_a_step_that_ends_with_a_future_never_raises(configure: Configure, server: FaultServer, form: Form) -> None:
    server.answer_with(status(401))
    client = configure(delivery="await")
    assert form(client, client.run("checkout"), "pack", lambda: 7) == 7


def test_what_does_not_wait_on_a_running_loop_does_not_raise_there(configure: Configure, server: FaultServer) -> None:
    server.answer_with(status(401))
    client = configure(delivery="await")

    async def main() -> None:
        a_step(client)
        with client.run("checkout").step("block"):
            pass
        client.run("checkout").skip("wrap")

    asyncio.run(main())


def test_events_recorded_by_hand_raise_off_a_loop(configure: Configure, server: FaultServer) -> None:
    server.answer_with(status(401))
    client = configure(delivery="await")
    with pytest.raises(SendError, match="401"):
        client.run("checkout").skip("wrap")
    with pytest.raises(SendError, match="401"):
        client.record_step(flow_key="checkout", run_id="r", step_key="ship", status="success")


def test_items_of_generators_come_before_the_error_does(configure: Configure, server: FaultServer) -> None:
    server.answer_with(status(401))
    run: Run = configure(delivery="await").run("checkout")

    @run.step("plain")
    def plain() -> Generator[int, None, None]:
        yield from range(3)

    @run.step("async")
    async def asynchronous() -> AsyncGenerator[int, None]:
        for item in range(3):
            yield item

    async def collect() -> None:
        async for item in asynchronous():
            items.append(item)  # noqa: PERF401 - what came before the error is what counts

    items: list[int] = []
    with pytest.raises(SendError):
        items.extend(plain())
    with pytest.raises(SendError):
        asyncio.run(collect())
    assert items == [0, 1, 2, 0, 1, 2]


def test_an_error_that_is_being_retried_says_so(configure: Configure, server: FaultServer) -> None:
    server.answer_with(status(503, Retry_After="60"))
    client = configure(delivery="await")
    for _ in range(2):
        with pytest.raises(SendError) as caught:
            a_step(client)
        assert (caught.value.status, caught.value.retrying) == (503, True)
    assert len(server.requests) == 1
    server.answer_with(accepted)  # before the next attempt, which would get another minute
    client._join.reporter._pipelines[-1].sender.retries.succeeded()  # the minute is over


def test_a_step_hears_of_its_own_records_and_not_of_those_of_others_in_the_same_batch(
    configure: Configure, server: FaultServer
) -> None:
    def reject_bad(exchange: Exchange) -> bool:
        bad = [index for index, event in enumerate(exchange.request.events) if event["flowKey"] == "bad"]
        return rejecting(*bad)(exchange)

    server.answer_with(reject_bad)
    client = configure(delivery="await", send_timeout=10)
    raised: dict[str, list[BaseException]] = {"good": [], "bad": []}

    def work(flow: str) -> None:
        for _ in range(10):
            try:
                client.run(flow).step("pack", lambda: None)
            except RecordsRejectedError as error:
                raised[flow].append(error)

    threads = [threading.Thread(target=work, args=(flow,)) for flow in ("good", "bad") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert raised["good"] == []
    assert len(raised["bad"]) == 40
    assert len({id(error) for error in raised["bad"]}) == 40


@pytest.mark.parametrize(("full", "kind"), [(True, QueueFullError), (False, ShutdownError)], ids=["full", "shut down"])
def test_a_step_that_is_refused_says_so(
    configure: Configure, server: FaultServer, full: bool, kind: type[DeliveryError]
) -> None:
    client = configure(delivery="await", max_queue_size=2, journal=None)
    run = client.run("checkout")
    if full:
        server.answer_with(status(503, Retry_After="60"), accepted)
        for _ in range(2):
            with pytest.raises(SendError):
                run.skip("ship")
    else:
        client.shutdown()
    called: list[int] = []
    with pytest.raises(kind):
        run.step("pack", lambda: called.append(1))
    assert called == [1]
    client._join.reporter._pipelines[-1].sender.retries.succeeded()  # so that the shutdown need not wait
