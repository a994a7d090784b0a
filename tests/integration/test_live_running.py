"""``running`` is live: a real receiver shows a step as running while its function has not returned."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import ProxyTracerProvider

from failpath_otel import FailpathClient, configure
from tests.receiver import Receiver, start_receiver, wait_for
from tests.steps.forms import FORMS, Form

DEADLINE = 10.0
_numbers = itertools.count()

Provide = Callable[[], TracerProvider | None]
PROVIDERS: dict[str, Provide] = {
    "without OpenTelemetry": lambda: None,
    "with an SDK provider": lambda: TracerProvider(shutdown_on_exit=False),
    "with a provider that samples nothing": lambda: TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with start_receiver(tmp_path_factory.mktemp("live") / "local.db") as started:
        yield started


@pytest.fixture
def make_client(receiver: Receiver) -> Iterator[Callable[[TracerProvider | None], FailpathClient]]:
    ends: list[Callable[[], object]] = []

    def make(provider: TracerProvider | None) -> FailpathClient:
        # A key of its own for every client: the receiver takes any.
        key = f"fp_project_{os.getpid()}_{next(_numbers)}"
        client = configure(project_key=key, endpoint=receiver.url, tracer_provider=provider)
        ends.append(client.shutdown)
        if provider is not None:
            ends.append(provider.shutdown)
        return client

    yield make
    for end in ends:
        end()


@pytest.fixture(params=PROVIDERS.values(), ids=list(PROVIDERS))
def client(
    request: pytest.FixtureRequest, make_client: Callable[[TracerProvider | None], FailpathClient]
) -> FailpathClient:
    provider = request.param()
    if provider is None:
        assert isinstance(trace.get_tracer_provider(), ProxyTracerProvider), "a test has set the global provider"
    return make_client(provider)


def shown(receiver: Receiver, run_id: str, key: str) -> dict[str, Any]:
    """The step as the receiver shows it; empty while it knows none."""
    run = receiver.run(run_id) or {"steps": []}
    found = [step for step in run["steps"] if step["stepKey"] == key]
    assert len(found) <= 1, found
    return found[0] if found else {}


def wait_until(receiver: Receiver, run_id: str, key: str, status: str) -> dict[str, Any]:
    def as_expected() -> dict[str, Any] | None:
        step = shown(receiver, run_id, key)
        return step if step.get("status") == status else None

    found = wait_for(as_expected, DEADLINE, f"the receiver never showed {key} as {status}")
    assert found is not None
    return found


@every_form
def test_a_function_that_waits_for_its_own_running_returns(
    client: FailpathClient, receiver: Receiver, form: Form
) -> None:
    run = client.run("live")

    def body() -> str:
        step = wait_until(receiver, run.run_id, "wait", "running")
        assert step.get("durationMs") is None
        return "returned"

    assert form(client, run, "wait", body) == "returned"

    step = wait_until(receiver, run.run_id, "wait", "success")
    assert step["durationMs"] > 0
    client.flush()
    recorded = receiver.run(run.run_id)
    assert recorded is not None
    assert [step["stepKey"] for step in recorded["steps"]] == ["wait"]


@every_form
def test_a_function_that_raises_after_its_own_running_is_shown_as_an_error(
    client: FailpathClient, receiver: Receiver, form: Form
) -> None:
    run = client.run("live")
    error = ValueError("card declined")

    def body() -> None:
        wait_until(receiver, run.run_id, "fail", "running")
        raise error

    with pytest.raises(ValueError, match="card declined") as caught:
        form(client, run, "fail", body)

    assert caught.value is error
    step = wait_until(receiver, run.run_id, "fail", "error")
    assert (step["error"]["name"], step["error"]["message"]) == ("ValueError", "card declined")


def test_a_manual_running_is_shown_as_running_and_its_partner_ends_it(
    client: FailpathClient, receiver: Receiver
) -> None:
    run_id = client.run("live").run_id
    client.record_step(flow_key="live", run_id=run_id, step_key="ship", status="running")
    wait_until(receiver, run_id, "ship", "running")

    client.record_step(flow_key="live", run_id=run_id, step_key="ship", status="success")

    wait_until(receiver, run_id, "ship", "success")


def test_a_skip_is_shown_as_skipped(client: FailpathClient, receiver: Receiver) -> None:
    run = client.run("live")
    run.skip("receipt")

    wait_until(receiver, run.run_id, "receipt", "skipped")


LIMITS = {
    "no attributes, no events": SpanLimits(max_span_attributes=0, max_events=0),
    "no events": SpanLimits(max_events=0),
    "values of three characters": SpanLimits(max_attribute_length=3),
    "values of three characters, no events": SpanLimits(max_attribute_length=3, max_events=0),
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())
def test_a_hosts_span_limits_change_nothing_that_is_shown(
    make_client: Callable[[TracerProvider | None], FailpathClient], receiver: Receiver, limits: SpanLimits
) -> None:
    client = make_client(TracerProvider(span_limits=limits, shutdown_on_exit=False))
    run = client.run("live", metadata={"route": "/checkout"})

    run.step("pack", lambda: wait_until(receiver, run.run_id, "pack", "running"))
    run.skip("wrap")
    client.record_step(flow_key="live", run_id=run.run_id, step_key="ship", status="success")
    with pytest.raises(ValueError, match="no"):
        run.step("send", lambda: int("no"))

    client.flush()
    recorded = receiver.run(run.run_id)
    assert recorded is not None
    statuses = {step["stepKey"]: step["status"] for step in recorded["steps"]}
    assert statuses == {"pack": "success", "wrap": "skipped", "ship": "success", "send": "error"}
    assert shown(receiver, run.run_id, "pack")["metadata"] == {"route": "/checkout"}


@pytest.mark.parametrize("provide", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_a_client_configured_again_after_a_shutdown_reports_again(
    provide: Provide, receiver: Receiver, tmp_path: Path
) -> None:
    provider = provide()
    key = f"fp_project_{os.getpid()}_{next(_numbers)}"
    configure(project_key=key, endpoint=receiver.url, tracer_provider=provider).shutdown()

    client = configure(project_key=key, endpoint=receiver.url, tracer_provider=provider)
    run = client.run("live")
    try:
        run.step("again", lambda: wait_until(receiver, run.run_id, "again", "running"))
    finally:
        client.shutdown()
        if provider is not None:
            provider.shutdown()


def test_metadata_that_changes_its_type_and_back_is_shown_with_its_last_value(
    make_client: Callable[[TracerProvider | None], FailpathClient], receiver: Receiver
) -> None:
    client = make_client(TracerProvider(shutdown_on_exit=False))
    run = client.run("live")

    with run.step("pack", metadata={"a": 1}) as step:
        step.set_metadata(a={"now": "a map"})
        step.set_metadata(a=1)

    assert wait_until(receiver, run.run_id, "pack", "success")["metadata"] == {"a": 1}
