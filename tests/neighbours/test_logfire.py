"""What is peculiar to Logfire: it replaces its provider, takes processors by hand, and ends open spans at exit."""

from collections.abc import Iterator

import pytest

from tests.delivery.programs import succeed
from tests.fault_server import FaultServer, fault_server, json_answer

pytestmark = pytest.mark.process

LOGFIRE = """
    import os, sys, threading
    import logfire
    import failpath_otel

    def set_up_logfire(**more):
        logfire.configure(
            send_to_logfire=True, token="pylf_v1_local_0123456789", console=False, metrics=False,
            inspect_arguments=False, advanced=logfire.AdvancedOptions(base_url=os.environ["BACKEND"]), **more
        )
"""
END = """
    print("end", flush=True)
"""


@pytest.fixture
def failpath() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


@pytest.fixture
def backend() -> Iterator[FaultServer]:
    with fault_server(json_answer({"project_name": "shop", "project_url": "http://127.0.0.1/shop"})) as running:
        yield running


def told(failpath: FaultServer) -> list[tuple[str, str]]:
    return sorted((event["stepKey"], event["status"]) for event in failpath.events)


def test_steps_arrive_once_when_logfire_is_configured_again_and_has_a_new_provider(
    failpath: FaultServer, backend: FaultServer
) -> None:
    code = """
    set_up_logfire()
    client = failpath_otel.configure()
    client.run("checkout").step("first", lambda: None)
    set_up_logfire()
    client.run("checkout").step("second", lambda: None)
    assert client.flush(20)
    """
    succeed(LOGFIRE + code + END, failpath.url, BACKEND=backend.url)
    assert told(failpath) == [(key, status) for key in ("first", "second") for status in ("running", "success")]


def test_a_processor_given_to_logfire_by_hand_reports_each_step_once(
    failpath: FaultServer, backend: FaultServer
) -> None:
    code = """
    set_up_logfire(additional_span_processors=[failpath_otel.FailpathSpanProcessor()])
    run = failpath_otel.Failpath().run("checkout")
    run.step("first", lambda: None)
    try:
        run.step("second", lambda: int("no"))
    except ValueError:
        pass
    """
    succeed(LOGFIRE + code + END, failpath.url, BACKEND=backend.url)
    assert told(failpath) == [("first", "running"), ("first", "success"), ("second", "error"), ("second", "running")]


def test_a_step_that_is_open_when_the_program_ends_stays_running(failpath: FaultServer, backend: FaultServer) -> None:
    code = """
    set_up_logfire()
    client = failpath_otel.configure()
    begun = threading.Event()

    def hang():
        begun.set()
        threading.Event().wait()

    threading.Thread(target=client.run("checkout").step, args=("hang", hang), daemon=True).start()
    assert begun.wait(20)
    assert client.flush(20)
    """
    succeed(LOGFIRE + code + END, failpath.url, BACKEND=backend.url)
    assert told(failpath) == [("hang", "running")]
