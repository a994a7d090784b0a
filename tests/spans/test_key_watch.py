"""The option ``flows``: keys that are not declared are logged, once, and the step goes on."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import FailpathClient, FailpathSpanExporter, StepRule
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.flows import key_watch
from failpath_otel.flows.known_keys import KnownKeys, Mistake
from failpath_otel.records.request import Answer
from tests.spans.foreign import IDENTITY, a_span

FLOWS = {"flows": [{"slug": "checkout", "nodes": [{"sdkStepKey": "charge-card"}]}, {"slug": "delivery", "nodes": []}]}
NewClient = Callable[..., FailpathClient]


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    path = tmp_path / "flows.json"
    path.write_text(json.dumps(FLOWS))
    return path


@pytest.fixture
def new_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[NewClient]:
    def send(_: HttpClient, records: list[bytes], within: float | None = None) -> Answer:
        return Answer()

    monkeypatch.setattr(HttpClient, "send", send)
    clients: list[FailpathClient] = []

    def configure(**options: object) -> FailpathClient:
        given = {"tracer_provider": NoOpTracerProvider(), "endpoint": "http://127.0.0.1:9", "journal": None, **options}
        clients.append(failpath_otel.configure(project_key="fp_project_watch", **given))  # type: ignore[arg-type]
        return clients[-1]

    yield configure
    for client in clients:
        client.shutdown(1)


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("has_host", [False, True], ids=["without a provider", "with a host's provider"])
def test_a_wrong_key_is_logged_once_with_what_was_meant_and_its_step_runs_and_is_delivered(
    has_host: bool, flows: Path, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False) if has_host else NoOpTracerProvider()
    client = new_client(flows=flows, tracer_provider=provider)
    for _ in range(3):
        run = client.run("checkout")
        assert run.step("charge-crad", lambda: 17) == 17
        assert run.step("charge-card", lambda: 18) == 18
        run.skip("skpi")
    client.record_step(flow_key="chekout", run_id=1, step_key="a", status="success")
    client.record_step(flow_key="chekout", run_id=1, step_key="b", status="success")
    client.run("delivery").step("charge-card", str)

    assert warnings(caplog) == [
        f"Failpath: flow 'checkout' has no step 'charge-crad'; did you mean 'charge-card'? (by {flows})",
        f"Failpath: flow 'checkout' has no step 'skpi' (by {flows})",
        f"Failpath: there is no flow 'chekout'; did you mean 'checkout'? (by {flows})",
        f"Failpath: flow 'delivery' has no step 'charge-card'; it is a step of 'checkout' (by {flows})",
    ]
    assert client.flush()
    assert client.stats().delivered == 3 * 5 + 2 + 2


def test_steps_of_other_tracers_and_by_rules_are_checked_too(
    flows: Path, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    rule = StepRule("checkout", "by-rule", span_name="POST")
    new_client(flows=flows, tracer_provider=provider, rules=[rule])
    tracer = provider.get_tracer("other")
    tracer.start_span("any", attributes={**IDENTITY, "failpath.step.key": "charge-crad"}).end()
    tracer.start_span("POST").end()

    assert [text.partition("; ")[0].partition(" (")[0] for text in warnings(caplog)] == [
        "Failpath: flow 'checkout' has no step 'charge-crad'",
        "Failpath: flow 'checkout' has no step 'by-rule'",
    ]


def test_the_exporter_checks_the_keys_of_spans_that_have_ended(
    flows: Path, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = FailpathSpanExporter(
        project_key="fp_project_watch", endpoint="http://127.0.0.1:9", journal=None, flows=flows
    )
    exporter.export([a_span({**IDENTITY, "failpath.step.key": "charge-crad"})])
    exporter.shutdown()

    assert len(warnings(caplog)) == 1
    assert "no step 'charge-crad'" in caplog.text


def test_the_variable_names_the_file_and_a_disabled_client_reads_none(
    flows: Path, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAILPATH_FLOWS", str(flows))
    new_client(enabled=False).run("checkout").step("x", str)
    assert warnings(caplog) == []

    new_client().run("checkout").step("x", str)
    assert warnings(caplog) == [f"Failpath: flow 'checkout' has no step 'x' (by {flows})"]


@pytest.mark.parametrize("content", [None, "", "{", '{"flows": [{"slug": ""}]}', "[" * 100_000], ids=range(5))
def test_bad_input_a_file_that_cannot_be_used_is_logged_once_and_steps_go_on(
    content: str | None, tmp_path: Path, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flows.json"
    if content is not None:
        path.write_text(content)
    for _ in range(2):
        client = new_client(flows=path)
        assert client.run("anything").step("at-all", lambda: 17) == 17

    (warning,) = warnings(caplog)
    assert warning.startswith(f"Failpath: keys are not checked, because the file of flows cannot be used: {path}")
    assert client.flush()


def test_a_program_that_makes_up_keys_does_not_flood_its_log(
    flows: Path, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_watch, "_MOST", 3)
    run = new_client(flows=flows).run("checkout")
    for number in range(9):
        run.step(f"step-{number}", str)

    assert len(warnings(caplog)) == 3


def test_a_handler_of_the_log_that_opens_steps_or_raises_does_not_harm_the_step(
    flows: Path, new_client: NewClient
) -> None:
    run = new_client(flows=flows).run("checkout")
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            run.step("inside-the-handler", str)
            raise ZeroDivisionError

    logger, handler = logging.getLogger("failpath_otel"), Handler()
    logger.addHandler(handler)
    try:
        assert run.step("outside", lambda: 17) == 17
    finally:
        logger.removeHandler(handler)
    assert len(seen) == 2


def test_among_very_many_keys_none_is_looked_for_while_a_step_waits() -> None:
    keys = KnownKeys({"checkout": [f"charge-card-{number}" for number in range(5_000)]})
    mistake = keys.wrong_step("charge-crad-17", ["checkout"])
    assert mistake == Mistake("flow 'checkout' has no step 'charge-crad-17'")
