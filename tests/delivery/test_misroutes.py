"""What something else than Failpath answers on the way: nothing is lost by it, and nobody waits for it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import DeliveryError, FailpathClient, SendError, limits
from failpath_otel.delivery.pipeline import pipeline_to_failpath
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.retries.retry_queue import RetryQueue
from failpath_otel.journal.journal import Journal
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer, misconfigured, read_answer
from tests.delivery.pipelines import a_record
from tests.delivery.programs import run_program
from tests.fault_server import MISROUTES, Behaviour, FaultServer, accepted, fault_server, status, tls_only
from tests.keys import KEY
from tests.receiver import wait_for

Configure = Callable[..., FailpathClient]
AWAY = {**MISROUTES, "TLS port": tls_only}
misroutes = pytest.mark.parametrize("behaviour", AWAY.values(), ids=AWAY.keys())


@pytest.fixture
def configure(server: FaultServer, tmp_path: Path) -> Iterator[Configure]:
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        given = {"project_key": KEY, "endpoint": server.url, "journal": tmp_path / "journal", **options}
        provider = TracerProvider(shutdown_on_exit=False)
        made.append(failpath_otel.configure(tracer_provider=provider, **given))
        return made[-1]

    yield call
    server.answer_with(accepted)
    for client in made:
        client.shutdown(10)


def record(client: FailpathClient, first: int, count: int) -> None:
    for number in range(first, first + count):
        client.run("checkout", run_id=f"r{number}").skip("pack")


@misroutes
@pytest.mark.parametrize("before", [True, False], ids=["in the midst", "from the start"])
def test_a_misroute_costs_no_record(
    configure: Configure, server: FaultServer, behaviour: Behaviour, before: bool
) -> None:
    client = configure()
    if before:
        record(client, 0, 100)
        assert client.flush(10)
    server.answer_with(behaviour)
    record(client, 100, 300)
    assert client.flush(10) is False
    record(client, 400, 200)
    assert client.flush(10) is False
    assert client.stats().dropped == {}
    server.answer_with(accepted)
    assert client.flush(20) is True
    numbers = [int(event["runId"][1:]) for event in server.taken]
    # In their order, but where it ended while single records were asked for.
    assert (sorted(numbers) if behaviour is tls_only else numbers) == list(range(0 if before else 100, 600))


@misroutes
def test_whoever_flushes_is_told_after_the_first_such_answer(
    configure: Configure, server: FaultServer, behaviour: Behaviour
) -> None:
    server.answer_with(behaviour)
    client = configure()
    record(client, 0, 1)
    for flush in (client.flush, lambda timeout: asyncio.run(client.aflush(timeout))):
        wait_for(client._join.reporter._pipelines[-1].sender.retries.pause)
        began, asked = monotonic(), len(server.requests)
        assert flush(20) is False
        assert monotonic() - began < 5
        # None where it came just in time to hear of the attempt before.
        assert len(server.requests) <= asked + 1


@misroutes
def test_an_awaited_step_waits_for_one_attempt_and_the_next_not_until_another_is_due(
    configure: Configure, server: FaultServer, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 3_600.0)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY_MISCONFIGURED", 3_600.0)
    server.answer_with(behaviour)
    client = configure(delivery="await", send_timeout=10)
    began = monotonic()
    for _ in range(20):
        client.run("checkout").step("pack", lambda: None)
    assert monotonic() - began < 5
    assert len(server.requests) == 1


def test_it_is_said_once_with_the_address_what_came_back_and_how_to_move_the_records(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(*MISROUTES.values())
    client = configure(on_error=errors.append)
    for number in range(6):
        record(client, number, 1)
        client.flush(5)
    server.answer_with(accepted)
    wait_for(lambda: client.flush(10))
    began, ended = caplog.messages
    binding = Options(KEY, server.url).binding
    assert f"{server.url}/v1/events answered 200 with something other than JSON" in began
    assert "records wait, and are sent again for up to 48 hours; if the address is wrong, correct it" in began
    assert f"`failpath-otel drain --rebind {binding}`" in began
    assert "takes records again" in ended
    wait_for(lambda: errors)
    assert all(isinstance(error, SendError) and error.retrying for error in errors)
    assert KEY not in caplog.text + str(errors)


def test_a_host_that_redirects_is_named_without_what_is_secret() -> None:
    answer = read_answer(302, {"Location": "https://user:hunter2@portal.example/login?token=hunter2"}, b"", 1)
    assert answer.misconfigured
    assert "portal.example" in str(answer.failure)
    assert "hunter2" not in str(answer.failure)


@pytest.mark.parametrize("code", [404, 405, 407, 409, 410, 418, 421, 451, 301, 308, 304])
def test_answers_that_are_about_the_way_are_worth_a_slow_retry_and_heed_retry_after(code: int) -> None:
    answer = read_answer(code, {"Retry-After": "90"}, b"", 1)
    assert (answer.retryable, answer.persistent, answer.too_large, answer.retry_after) == (True, True, False, 90.0)
    assert answer.failure is not None


@pytest.mark.parametrize("code", [408, 425, 429, 500, 503, 599, 102, 103])
def test_answers_of_the_moment_are_worth_a_retry_soon(code: int) -> None:
    answer = read_answer(code, {"Retry-After": "90"}, b"", 1)
    assert (answer.retryable, answer.persistent, answer.too_large, answer.retry_after) == (True, False, False, 90.0)


def test_the_pause_grows_to_five_minutes_where_it_is_the_way_and_to_half_a_minute_where_it_is_the_moment() -> None:
    now = 0.0
    backlog = RetryQueue("http://127.0.0.1:9", lambda: now)

    def pauses(answer: Answer, count: int) -> list[float]:
        found = []
        for _ in range(count):
            backlog.schedule_retry(Batch((b"x",), 1, now), answer)
            found.append(backlog.pause())
        return found

    way, moment = misconfigured("answered 404", 404), Answer("answered 503", 503, retryable=True)
    assert pauses(way, 1)[0] < 1
    assert 225 <= pauses(way, 20)[-1] <= 375
    assert 22 <= pauses(moment, 1)[-1] <= 38
    # A misroute in a long outage does not start with five minutes.
    pauses(moment, 20)
    assert pauses(way, 1)[0] <= 75


@misroutes
def test_what_gone_processes_have_left_is_kept_likewise(
    server: FaultServer, tmp_path: Path, behaviour: Behaviour
) -> None:
    options = Options(KEY, server.url, journal=str(tmp_path))
    gone = Journal(str(tmp_path), options.binding, lambda _: None)
    for number in range(50):
        assert gone.append(a_record(step_key=f"step-{number}", id=f"{number:032}"))
    gone.reset_in_child()
    server.answer_with(behaviour)
    pipeline = pipeline_to_failpath(options)
    try:
        pipeline.adopt()
        server.wait_for_requests(2)
        assert pipeline.stats().adopted_dropped == {}
        server.answer_with(accepted)
        pipeline.flusher.send_now()
        wait_for(lambda: pipeline.stats().adopted == 50)
    finally:
        pipeline.shutdown(5)
    assert sorted(int(event["stepKey"][5:]) for event in server.taken) == list(range(50))


@pytest.mark.process
@pytest.mark.parametrize("behaviour", [status(404), tls_only], ids=["404", "TLS port"])
def test_the_end_of_a_script_is_not_held_up_and_says_what_waits(behaviour: Behaviour, tmp_path: Path) -> None:
    with fault_server(behaviour) as server:
        ended = run_program(
            """
            import failpath_otel
            failpath_otel.configure().run("checkout").step("pack", lambda: 7)
            """,
            server.url,
            FAILPATH_JOURNAL=str(tmp_path / "journal"),
        )
        assert len(server.requests) <= 6
        assert ended.code == 0
        assert re.search(r"records wait", ended.errors)
        assert list((tmp_path / "journal").iterdir())
