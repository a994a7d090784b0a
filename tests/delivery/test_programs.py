"""configure() in whole programs: what is global in a process, and how a process ends."""

import threading

import pytest

from tests.delivery.programs import run_program, start_program, succeed
from tests.fault_server import Behaviour, FaultServer, accepted, fault_server, held, silent, status
from tests.ports import unused_url

pytestmark = pytest.mark.process

EXIT_SECONDS = 4.0
"""The two seconds that delivery may delay an exit by, and what an interpreter on a busy machine takes to end."""


def test_a_program_without_opentelemetry_reports_its_steps(server: FaultServer) -> None:
    program = """
        import failpath_otel
        from opentelemetry import trace
        before = trace.get_tracer_provider()
        failpath = failpath_otel.configure()
        assert failpath.run("checkout", run_id="req-1").step("pack", lambda: 7) == 7
        assert trace.get_tracer_provider() is before
        print(failpath.flush())
    """
    assert succeed(program, server.url).lines == ["True"]
    assert [(sent["runId"], sent["status"]) for sent in server.events] == [("req-1", "running"), ("req-1", "success")]
    assert server.requests[0].headers["authorization"] == "Bearer fp_project_of_a_program"


def test_a_global_provider_that_is_set_after_configure_is_joined(server: FaultServer) -> None:
    program = """
        import failpath_otel
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        failpath = failpath_otel.configure()
        run = failpath.run("checkout")
        run.step("before", lambda: None)
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        for key in ("first", "second", "third"):
            run.step(key, lambda: None)
        assert failpath.flush()
        assert trace.get_tracer_provider() is provider
        print(*[span.name for span in exporter.get_finished_spans()])
        print(*["%016x" % span.context.span_id for span in exporter.get_finished_spans()][1:])
    """
    names, ids = succeed(program, server.url).lines
    assert names == "first second third"
    assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
        (key, status) for key in ("before", "first", "second", "third") for status in ("running", "success")
    ]
    # From the second step on, the host's own spans are what is reported.
    assert [sent["spanId"] for sent in server.events[4::2]] == ids.split()


def test_a_second_configure_without_a_provider_takes_the_place_of_the_first(server: FaultServer) -> None:
    program = """
        import failpath_otel
        first = failpath_otel.configure()
        with first.run("checkout").step("open"):
            second = failpath_otel.configure(endpoint=%r)
            first.run("checkout").step("later", lambda: None)
        print(second.flush())
    """
    with fault_server() as other:
        assert succeed(program % other.url, server.url).lines == ["True"]
        assert {sent["stepKey"] for sent in server.events} == {"open"}
        assert len(server.events) == 2
        assert {sent["stepKey"] for sent in other.events} == {"later"}


def test_with_the_sdk_disabled_functions_run_and_nothing_is_recorded(server: FaultServer) -> None:
    program = """
        import asyncio, failpath_otel
        failpath = failpath_otel.configure()
        run = failpath.run("checkout")

        async def work():
            return 2

        @run.step("decorated")
        def decorated():
            return 3

        with failpath.run("checkout"), run.step("block") as step:
            step.set_metadata(a=1)
        run.skip("skipped")
        failpath.record_step(flow_key="checkout", run_id="r", step_key="s", status="success")
        print(run.step("plain", lambda: 1), asyncio.run(run.step("async", work)), decorated())
        print(failpath.flush(), failpath.stats().accepted)
    """
    ended = run_program(program, server.url, OTEL_SDK_DISABLED="true")
    assert ended.lines == ["1 2 3", "True 0"]
    assert ended.code == 0
    assert ended.errors in {"", "SDK is disabled.\n"}  # older SDKs say so
    assert server.requests == []


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1", "OTEL_SPAN_EVENT_COUNT_LIMIT": "1"},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "1"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=x", "OTEL_SERVICE_NAME": "y"},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("provider", ["", "trace.set_tracer_provider(TracerProvider())"], ids=["private", "host"])
def test_bad_input_limits_set_by_environment_cost_neither_identity_nor_outcome(
    server: FaultServer, provider: str, variables: dict[str, str]
) -> None:
    program = f"""
        import logging, failpath_otel
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        logging.disable()
        {provider}
        failpath = failpath_otel.configure()
        run = failpath.run("checkout", run_id="request-1")
        with run.step("pack"):
            for number in range(200):
                trace.get_current_span().set_attribute(f"mine.{{number}}", number)
                trace.get_current_span().add_event(f"mine {{number}}")
        try:
            run.step("fail", lambda: 1 / 0)
        except ZeroDivisionError:
            print(failpath.flush())
    """
    assert succeed(program, server.url, **variables).lines == ["True"]
    assert [(sent["flowKey"], sent["runId"], sent["stepKey"], sent["status"]) for sent in server.events] == [
        ("checkout", "request-1", "pack", "running"),
        ("checkout", "request-1", "pack", "success"),
        ("checkout", "request-1", "fail", "running"),
        ("checkout", "request-1", "fail", "error"),
    ]


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError('mine')"], ids=["end", "exit", "raise"])
def test_steps_recorded_right_before_the_end_of_a_script_arrive(server: FaultServer, end: str) -> None:
    program = f"""
        import failpath_otel
        run = failpath_otel.configure().run("checkout")
        for number in range(600):
            run.step(f"step-{{number}}", lambda: None)
        print("end", flush=True)
        {end}
    """
    ended = run_program(program, server.url)
    assert ended.code == {"": 0, "raise SystemExit(3)": 3}.get(end, 1)
    assert ("ValueError: mine" in ended.errors) == ("ValueError" in end)
    assert len(server.events) == 1_200


def test_a_step_that_is_recorded_while_the_interpreter_ends_arrives(server: FaultServer) -> None:
    program = """
        import atexit, failpath_otel
        failpath = failpath_otel.configure()
        atexit.register(lambda: failpath.run("checkout").step("last", lambda: None))
        print("end", flush=True)
    """
    assert succeed(program, server.url).seconds < EXIT_SECONDS
    assert server.statuses == ["running", "success"]


def test_an_open_step_is_not_closed_by_the_end_of_the_process(server: FaultServer) -> None:
    program = """
        import failpath_otel
        step = failpath_otel.configure().run("checkout").step("open")
        step.__enter__()
        print("end", flush=True)
    """
    succeed(program, server.url)
    assert server.statuses == ["running"]


HOSTS = {
    "private": "",
    "host": "from opentelemetry import trace; import opentelemetry.sdk.trace as sdk;"
    "trace.set_tracer_provider(sdk.TracerProvider())",
}
SCRIPT = """
{host}
import failpath_otel, sys
run = failpath_otel.configure().run("checkout")
for number in range({steps}):
    run.step("step", lambda: None)
print("end", flush=True)
sys.exit(5)
"""


def script(host: str, steps: int) -> str:
    """A program that records steps and exits with 5."""
    return SCRIPT.format(host=HOSTS[host], steps=steps)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("steps", [1, 5_000])
def test_a_dead_endpoint_delays_the_end_by_two_seconds_at_most_and_leaves_the_exit_code(host: str, steps: int) -> None:
    ended = run_program(script(host, steps), unused_url())
    assert ended.code == 5, ended.errors
    assert "Traceback" not in ended.errors
    assert ended.seconds < EXIT_SECONDS


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("steps", [1, 5_000])
def test_a_silent_endpoint_delays_the_end_by_two_seconds_at_most_and_leaves_the_exit_code(
    host: str, steps: int
) -> None:
    with fault_server(silent) as server:
        ended = run_program(script(host, steps), server.url)
    assert ended.code == 5, ended.errors
    assert "Traceback" not in ended.errors
    assert ended.seconds < EXIT_SECONDS


def test_several_silent_endpoints_delay_the_end_no_longer_than_one() -> None:
    program = """
        import failpath_otel, sys
        for path in ("a", "b", "c"):
            failpath = failpath_otel.configure(endpoint=f"%s/{path}")
            for number in range(2_000):
                failpath.run("checkout").step("step", lambda: None)
        print("end", flush=True)
        sys.exit(5)
    """
    with fault_server(silent) as server:
        ended = run_program(program % server.url, server.url)
    assert ended.code == 5
    assert ended.seconds < EXIT_SECONDS


def test_ctrl_c_while_the_end_waits_ends_the_waiting_and_what_waits_is_said_without_a_traceback() -> None:
    program = """
        import atexit, failpath_otel, signal
        failpath_otel.configure().run("checkout").step("step", lambda: None)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        atexit.register(lambda: signal.setitimer(signal.ITIMER_REAL, 0.2))
        print("end", flush=True)
    """
    with fault_server(silent) as server:
        ended = run_program(program, server.url)
    assert ended.code == 0
    [line] = ended.errors.splitlines()
    assert "2 records wait" in line


def test_what_waits_in_a_journal_that_somebody_has_deleted_is_said_to_be_lost_at_the_end() -> None:
    program = """
        import failpath_otel, os, shutil
        failpath_otel.configure().run("checkout").step("step", lambda: None)
        shutil.rmtree(os.environ["FAILPATH_JOURNAL"])
        print("end", flush=True)
    """
    ended = run_program(program, unused_url())
    assert ended.code == 0
    [line] = ended.errors.splitlines()
    assert "2 records could not be delivered before the process ended" in line
    assert "wait in" not in line


def test_what_could_not_be_delivered_before_the_end_is_said_once() -> None:
    with fault_server(silent) as server:
        ended = run_program(script("private", 5_000), server.url)
    [line] = ended.errors.splitlines()
    assert "10000 records wait in " in line


def test_what_is_lost_with_the_memory_of_the_process_is_said_once() -> None:
    with fault_server(silent) as server:
        program = script("private", 5_000).replace("configure(", "configure(journal=None, ")
        ended = run_program(program, server.url)
    [line] = ended.errors.splitlines()
    assert "10000 records could not be delivered before the process ended" in line


def test_an_outage_of_many_batches_is_said_once() -> None:
    with fault_server(status(503)) as server:
        ended = run_program(script("private", 5_000), server.url)
        assert len(server.requests) > 1
    [line] = ended.errors.splitlines()
    assert "503" in line
    assert "records wait in " in line


@pytest.mark.parametrize("behaviour", [silent, status(401), status(503)], ids=["silent", "401", "503"])
def test_no_program_shows_its_key(behaviour: Behaviour) -> None:
    with fault_server(behaviour) as server:
        ended = run_program("import logging; logging.basicConfig(level=0)" + script("private", 3), server.url)
    assert "fp_project" not in ended.errors + "".join(ended.lines)


def test_a_fork_with_a_queue_sends_each_record_once_from_the_process_that_made_it() -> None:
    program = """
        import os, failpath_otel
        failpath = failpath_otel.configure()
        run = failpath.run("checkout")
        for number in range(100):
            run.step("of the parent", lambda: None)
        child = os.fork()
        run.step("of the child" if child == 0 else "of the parent", lambda: None)
        flushed = failpath.flush(10)
        if child == 0:
            os._exit(0 if flushed and failpath.stats().accepted == 2 else 1)
        _, code = os.waitpid(child, 0)
        print(child, os.getpid(), code, flushed, failpath.stats().delivered)
    """
    with fault_server(accepted) as server:
        ended = run_program(program, server.url, PYTHONWARNINGS="ignore::DeprecationWarning")
        [line] = ended.lines
        child, parent, code, flushed, delivered = line.split()
        assert (code, flushed, delivered) == ("0", "True", "202"), ended
        assert len({sent["id"] for sent in server.events}) == len(server.events) == 204
        made = {(sent["stepKey"], sent["process"]["pid"]) for sent in server.events}
        assert made == {("of the parent", int(parent)), ("of the child", int(child))}


def test_a_slow_server_is_waited_for_at_the_end() -> None:
    gate = threading.Event()
    with (
        fault_server(held(gate, accepted)) as server,
        start_program(script("private", 1), server.url) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "end\n"
            server.wait_for_requests(1)
            assert process.poll() is None
            gate.set()
            assert process.wait(10) == 5
        finally:
            process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert server.statuses == ["running", "success"]


def test_a_thread_that_outlives_the_main_thread_loses_nothing_at_the_end(server: FaultServer) -> None:
    program = """
        import threading
        import failpath_otel
        from opentelemetry.sdk.trace import TracerProvider
        provider = TracerProvider()
        failpath = failpath_otel.configure(tracer_provider=provider)
        run = failpath.run("checkout")

        def work():
            threading.main_thread().join()
            for _ in range(3):
                run.step("pack", lambda: None)
                assert provider.force_flush()
            run.step("last", lambda: None)
            print("done", flush=True)

        threading.Thread(target=work).start()
    """
    assert succeed(program, server.url).lines == ["done"]
    assert len(server.events) == 8
