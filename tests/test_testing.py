"""MockFailpath: the client for the tests of applications, and its pytest fixture."""

import asyncio
import logging
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from failpath_otel import ConfigurationError, FailpathClient, Stats
from failpath_otel.testing import MockFailpath, Record
from tests.steps.forms import FORMS


def statuses(failpath: MockFailpath) -> list[tuple[str, str]]:
    return [(event.step_key, event.status) for event in failpath.events]


def test_every_kind_of_event_is_there_at_once_and_in_order(failpath: MockFailpath) -> None:
    run = failpath.run("checkout", run_id="req-1")
    assert run.step("validate-cart", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError), run.step("charge-card"):
        raise ZeroDivisionError("no money")
    run.skip("send-receipt-email")
    failpath.record_step(flow_key="delivery", run_id="parcel-4", step_key="ship", status="success")
    assert failpath.flush() is True
    assert statuses(failpath) == [
        ("validate-cart", "running"),
        ("validate-cart", "success"),
        ("charge-card", "running"),
        ("charge-card", "error"),
        ("send-receipt-email", "skipped"),
        ("ship", "success"),
    ]
    error = failpath.events[3].error
    assert error is not None
    assert (error.name, error.message, error.stack) == ("ZeroDivisionError", "no money", None)
    assert {(event.flow_key, event.run_id) for event in failpath.events[:5]} == {("checkout", "req-1")}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_step_leaves_its_two_events(failpath: MockFailpath, form: str) -> None:
    FORMS[form](failpath, failpath.run("checkout"), "pack", lambda: None)
    assert statuses(failpath) == [("pack", "running"), ("pack", "success")]


def test_running_is_there_before_the_function_is_called(failpath: MockFailpath) -> None:
    inside: list[list[tuple[str, str]]] = []
    failpath.run("checkout").step("pack", lambda: inside.append(statuses(failpath)))
    assert inside == [[("pack", "running")]]


def test_a_list_of_events_that_was_read_does_not_change(failpath: MockFailpath) -> None:
    before = failpath.events
    failpath.run("checkout").skip("ship")
    assert before == []
    assert len(failpath.events) == 1


def test_reset_forgets_and_what_is_open_still_leaves_its_outcome(failpath: MockFailpath) -> None:
    with failpath.run("checkout").step("pack"):
        failpath.reset()
        assert failpath.events == []
    assert statuses(failpath) == [("pack", "success")]


def test_default_metadata_lies_under_that_of_the_run_and_the_step() -> None:
    failpath = MockFailpath(default_metadata={"a": "default", "b": "default", "c": "default"})
    run = failpath.run("checkout", metadata={"b": "run", "c": "run"})
    run.step("pack", lambda: None, metadata={"c": "step"})
    assert [event.metadata for event in failpath.events] == [{"a": "default", "b": "run", "c": "step"}] * 2


def test_capture_stack_keeps_the_stack() -> None:
    failpath = MockFailpath(capture_stack=True)
    with pytest.raises(ZeroDivisionError):
        failpath.run("checkout").step("pack", lambda: 1 / 0)
    error = failpath.events[-1].error
    assert error is not None
    assert "test_testing.py" in str(error.stack)


def test_on_event_is_called_with_each_record_before_the_step_goes_on() -> None:
    seen: list[Record] = []
    failpath = MockFailpath(on_event=seen.append)
    run = failpath.run("checkout")
    run.step("pack", lambda: seen.append(seen[-1]))
    assert [event.status for event in seen] == ["running", "running", "success"]


def test_bad_input_an_on_event_that_raises_is_logged_once_and_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    from failpath_otel import report  # noqa: PLC0415

    report._logged.discard("calling on_event")

    def refuse(event: Record) -> None:
        raise ZeroDivisionError("from on_event")

    failpath = MockFailpath(on_event=refuse)
    for _ in range(3):
        assert failpath.run("checkout").step("pack", lambda: 7) == 7
    assert len(failpath.events) == 6
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage().startswith("Failpath: calling on_event failed") for record in logged] == [True]


def test_bad_input_an_on_event_that_recurses_into_us_records_that_too() -> None:
    def skip_once(event: Record) -> None:
        if event.status == "running":
            failpath.run("audit").skip("of " + event.step_key)
            failpath.flush()

    failpath = MockFailpath(on_event=skip_once)
    failpath.run("checkout").step("pack", lambda: None)
    assert statuses(failpath) == [("pack", "running"), ("of pack", "skipped"), ("pack", "success")]


def test_bad_input_an_on_event_that_waits_for_another_threads_step_does_not_wait_for_ever() -> None:
    def elsewhere(event: Record) -> None:
        if event.step_key == "pack":
            thread = threading.Thread(target=lambda: failpath.run("audit").skip("elsewhere"))
            thread.start()
            thread.join(10)
            assert not thread.is_alive()

    failpath = MockFailpath(on_event=elsewhere)
    failpath.run("checkout").step("pack", lambda: None)
    assert sorted(statuses(failpath)) == [
        ("elsewhere", "skipped"),
        ("elsewhere", "skipped"),
        ("pack", "running"),
        ("pack", "success"),
    ]


@pytest.mark.parametrize(
    ("option", "given"), [("default_metadata", 7), ("capture_stack", "yes"), ("on_event", "a text")], ids=repr
)
def test_bad_input_a_wrong_type_is_refused_by_the_name_of_the_option(option: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} must be"):
        MockFailpath(**{option: given})


def test_it_is_a_client_in_all_its_methods(failpath: MockFailpath) -> None:
    assert isinstance(failpath, FailpathClient)
    failpath.run("checkout").skip("ship")
    assert asyncio.run(failpath.aflush()) is True
    assert failpath.stats() == Stats(1, 1, 0, {})
    assert failpath.shutdown() is True
    failpath.run("checkout").skip("ship")
    assert len(failpath.events) == 1


def test_two_of_them_share_nothing_and_the_global_provider_stays_what_it_was() -> None:
    before = trace.get_tracer_provider()
    first, second = MockFailpath(), MockFailpath()
    with first.run("checkout") as run:
        assert second.current_run() is None
        run.step("pack", lambda: second.run("delivery").skip("ship"))
    assert statuses(first) == [("pack", "running"), ("pack", "success")]
    assert statuses(second) == [("ship", "skipped")]
    assert trace.get_tracer_provider() is before


def test_no_environment_variable_of_ours_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", "false")
    monkeypatch.setenv("FAILPATH_DELIVERY", "await")
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", "nonsense")
    failpath = MockFailpath()
    failpath.run("checkout").skip("ship")
    assert len(failpath.events) == 1


def test_where_opentelemetry_is_disabled_it_says_that_nothing_will_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.warns(RuntimeWarning, match="OTEL_SDK_DISABLED"):
        failpath = MockFailpath()
    assert failpath.run("checkout").step("pack", lambda: 7) == 7
    assert failpath.events == []


def test_threads_that_record_at_once_lose_nothing(failpath: MockFailpath) -> None:
    run = failpath.run("checkout")

    def pack() -> None:
        for _ in range(200):
            run.step("pack", lambda: None)

    threads = [threading.Thread(target=pack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(failpath.events) == 1_600
    assert len({event.id for event in failpath.events}) == 1_600


def test_on_event_is_called_on_the_thread_of_the_step() -> None:
    wrong: list[str] = []

    def look(event: Record) -> None:
        if event.run_id != threading.current_thread().name:
            wrong.append(event.run_id)

    failpath = MockFailpath(on_event=look)

    def work() -> None:
        run = failpath.run("checkout", run_id=threading.current_thread().name)
        for _ in range(300):
            run.step("pack", lambda: None)

    threads = [threading.Thread(target=work, name=f"worker-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len(failpath.events) == 2_400


def run_pytest(tmp_path: Path, tests: str, *arguments: str) -> str:
    """Runs tests of an application of its own, which has pytest and this package, and returns what pytest printed."""
    (tmp_path / "test_app.py").write_text(textwrap.dedent(tests))
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # Without the plugin of Schemathesis, which imports `requests`.
    without = ("-p", "no:cacheprovider", "-p", "no:schemathesis")
    command = [sys.executable, "-m", "pytest", *without, *arguments, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.process
def test_the_plugin_imports_nothing_of_ours_for_tests_that_do_not_ask_for_it(tmp_path: Path) -> None:
    run_pytest(
        tmp_path,
        """
        import sys

        def test_alone():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert "failpath_otel_pytest" in loaded
            assert not loaded & {"failpath_otel", "opentelemetry", "msgspec", "requests"}
        """,
    )


@pytest.mark.process
def test_the_fixture_is_fresh_for_every_test_also_on_several_workers_and_in_random_order(tmp_path: Path) -> None:
    printed = run_pytest(
        tmp_path,
        """
        import pytest

        @pytest.mark.parametrize("number", range(40))
        def test_one_step(failpath, number):
            assert failpath.events == []
            failpath.run("checkout", run_id=number).step("pack", lambda: None)
            assert [event.run_id for event in failpath.events] == [str(number)] * 2
        """,
        *("-n", "2", "-p", "randomly"),
    )
    assert "40 passed" in printed


@pytest.mark.process
def test_the_mock_loads_neither_requests_nor_the_receiver() -> None:
    code = "import sys, failpath_otel.testing as t; t.MockFailpath().run('a').skip('b'); print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    loaded = set(printed.split())
    assert not loaded & {"requests", "urllib3", "pytest", "failpath_otel.local", "starlette"}


def test_a_mock_that_has_taken_many_records_has_nothing_for_a_thread_to_do(failpath: MockFailpath) -> None:
    run = failpath.run("checkout")
    for number in range(600):
        run.skip(f"step-{number}")
    [pipeline] = failpath._join.reporter._pipelines
    assert not pipeline.attempts.has_work()
    assert not pipeline.wakeup.wait(0)
