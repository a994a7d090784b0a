"""A project key that is refused: its records are kept, nobody waits for it for long, and it is said once."""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import DeliveryError, FailpathClient, SendError
from tests.delivery.programs import run_program
from tests.fault_server import FaultServer, accepted, fault_server, status
from tests.faults import knowing_key
from tests.keys import KEY
from tests.receiver import wait_for

OTHER = "fp_project_another_secret"
Configure = Callable[..., FailpathClient]

refused = pytest.mark.parametrize("code", [401, 403])


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    """failpath_otel.configure() for one provider; at the end the server takes everything."""
    provider = TracerProvider(shutdown_on_exit=False)
    made: list[FailpathClient] = []

    def call(key: str = KEY, **options: Any) -> FailpathClient:
        made.append(failpath_otel.configure(project_key=key, endpoint=server.url, tracer_provider=provider, **options))
        return made[-1]

    yield call
    server.answer_with(accepted)
    for client in made:
        client.shutdown(5)
        assert not client.stats().waiting


@refused
def test_records_are_kept_until_the_key_is_accepted_and_arrive_in_their_order(
    configure: Configure, server: FaultServer, code: int
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(status(code))
    client = configure(on_error=errors.append)
    run = client.run("checkout")
    for number in range(100):
        run.step(f"step-{number}", lambda: None)
    assert client.flush(5) is False
    stats = client.stats()
    assert (stats.waiting, stats.delivered, stats.dropped) == (200, 0, {})
    wait_for(lambda: errors)
    assert isinstance(errors[0], SendError)
    assert (errors[0].retrying, errors[0].status) == (True, code)
    server.answer_with(accepted)
    assert client.flush(10) is True
    expected = [(f"step-{number}", status) for number in range(100) for status in ("running", "success")]
    assert [(sent["stepKey"], sent["status"]) for sent in server.taken] == expected


@refused
def test_a_flush_makes_one_attempt_and_does_not_wait_for_another(
    configure: Configure, server: FaultServer, code: int
) -> None:
    server.answer_with(status(code))
    client = configure()
    client.run("checkout").skip("pack")
    server.wait_for_requests(1)
    wait_for(lambda: client._join.reporter._pipelines[-1].sender.failure)
    for flush in (client.flush, lambda timeout: asyncio.run(client.aflush(timeout))):
        began, before = monotonic(), len(server.requests)
        assert flush(20) is False
        assert monotonic() - began < 5
        assert len(server.requests) == before + 1


def test_a_refused_key_is_said_once_in_an_outage_even_where_that_began_otherwise(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_with(status(503))
    client = configure()
    client.run("checkout").skip("pack")
    wait_for(lambda: caplog.messages)
    server.answer_with(status(401), status(403), status(503), status(401), accepted)
    assert client.flush(5) is False
    for _ in range(5):
        client.flush(10)
    wait_for(lambda: client.flush(10))
    began, key, ended = caplog.messages
    assert "503" in began
    assert "refused the project key (401); records are kept until the key is accepted, for up to 48 hours" in key
    assert "takes records again" in ended


def test_records_of_a_key_that_is_refused_do_not_hold_up_those_of_the_next_one(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(knowing_key(OTHER))
    configure(KEY).run("checkout", run_id="old").skip("pack")
    server.wait_for_requests(1)
    second = configure(OTHER)
    second.run("checkout", run_id="new").skip("pack")
    began = monotonic()
    assert second.flush(20) is False
    assert monotonic() - began < 5
    assert [sent["runId"] for sent in server.taken] == ["new"]
    # The records of the old key stay with it.
    assert second.stats().waiting == 1
    server.answer_with(knowing_key(KEY))
    wait_for(lambda: second.flush(10))
    assert [sent["runId"] for sent in server.taken] == ["new", "old"]


@pytest.mark.process
def test_a_script_with_a_wrong_key_says_so_at_once_and_is_not_held_up_at_its_end() -> None:
    with fault_server(status(401)) as server:
        ended = run_program(
            """
            import failpath_otel
            failpath_otel.configure().run("checkout").step("pack", lambda: 7)
            print("end", flush=True)
            """,
            server.url,
        )
        # Waiting for its two seconds, it would make one every half a second.
        assert len(server.requests) <= 3
    assert ended.code == 0
    assert ended.errors.count("refused the project key (401)") == 1
