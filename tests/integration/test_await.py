"""``delivery="await"`` with a real receiver: no step goes on before it is shown."""

import asyncio
import functools
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from failpath_otel import FailpathClient, configure
from failpath_otel.delivery.figures.stats import Stats
from tests.delivery.programs import succeed
from tests.receiver import Receiver, start_receiver
from tests.steps.forms import IN_TASK_FORMS, SYNC_FORMS, Form

_numbers = itertools.count()
AWAITED_FORMS = {**SYNC_FORMS, **IN_TASK_FORMS}
every_form = pytest.mark.parametrize("form", AWAITED_FORMS.values(), ids=AWAITED_FORMS.keys())


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with start_receiver(tmp_path_factory.mktemp("await") / "local.db") as started:
        yield started


@pytest.fixture(params=[ALWAYS_ON, ALWAYS_OFF], ids=["with a provider", "with a provider that samples nothing"])
def client(request: pytest.FixtureRequest, receiver: Receiver) -> Iterator[FailpathClient]:
    sampler: Sampler = request.param
    made = configure(
        project_key=f"fp_project_{os.getpid()}_{next(_numbers)}",
        endpoint=receiver.url,
        tracer_provider=TracerProvider(sampler=sampler, shutdown_on_exit=False),
        delivery="await",
        send_timeout=30.0,
    )
    yield made
    made.shutdown()


def status_of(receiver: Receiver, run_id: str, key: str) -> str | None:
    """The status that the receiver shows at this very moment."""
    run = receiver.run(run_id) or {"steps": []}
    found = [step["status"] for step in run["steps"] if step["stepKey"] == key]
    return found[0] if found else None


@every_form
def test_a_step_is_shown_as_running_when_its_body_begins_and_with_its_outcome_when_it_is_over(
    client: FailpathClient, receiver: Receiver, form: Form
) -> None:
    run = client.run("awaited")

    assert form(client, run, "pack", lambda: status_of(receiver, run.run_id, "pack")) == "running"

    assert status_of(receiver, run.run_id, "pack") == "success"
    assert client.stats() == Stats(2, 2, 0, {})


@every_form
def test_an_error_is_shown_when_it_reaches_the_caller(client: FailpathClient, receiver: Receiver, form: Form) -> None:
    run, error = client.run("awaited"), ValueError("card declined")

    def body() -> None:
        raise error

    with pytest.raises(ValueError, match="card declined") as caught:
        form(client, run, "pack", body)

    assert caught.value is error
    assert status_of(receiver, run.run_id, "pack") == "error"


def test_a_skip_and_an_event_recorded_by_hand_are_shown_when_the_call_returns(
    client: FailpathClient, receiver: Receiver
) -> None:
    run = client.run("awaited")
    run.skip("wrap")
    assert status_of(receiver, run.run_id, "wrap") == "skipped"
    client.record_step(flow_key="awaited", run_id=run.run_id, step_key="ship", status="running")
    assert status_of(receiver, run.run_id, "ship") == "running"


def test_many_threads_see_each_of_their_own_steps_at_once(client: FailpathClient, receiver: Receiver) -> None:
    seen: list[str | None] = []

    def work() -> None:
        run = client.run("awaited")
        for number in range(5):
            key = f"step-{number}"
            seen.append(run.step(key, functools.partial(status_of, receiver, run.run_id, key)))
            seen.append(status_of(receiver, run.run_id, key))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, seen)) == ["running"] * 60 + ["success"] * 60


def test_many_tasks_see_each_of_their_own_steps_at_once(client: FailpathClient, receiver: Receiver) -> None:
    async def task(number: int) -> tuple[Any, Any]:
        run = client.run("awaited")

        async def work() -> str | None:
            return await asyncio.to_thread(status_of, receiver, run.run_id, "pack")

        inside = await run.step("pack", work, metadata={"number": number})
        return inside, await asyncio.to_thread(status_of, receiver, run.run_id, "pack")

    async def main() -> list[tuple[Any, Any]]:
        return await asyncio.gather(*map(task, range(30)))

    assert asyncio.run(main()) == [("running", "success")] * 30


def test_a_process_that_dies_without_any_clean_up_has_delivered_all_that_it_did(receiver: Receiver) -> None:
    program = """
        import os, failpath_otel
        failpath = failpath_otel.configure(project_key="fp_project_dies", delivery="await", send_timeout=30.0)
        run = failpath.run("awaited", run_id="dies")
        run.step("pack", lambda: None)
        step = run.step("ship")
        step.__enter__()
        print("end", flush=True)
        os._exit(0)
    """
    succeed(program, receiver.url)
    assert status_of(receiver, "dies", "pack") == "success"
    assert status_of(receiver, "dies", "ship") == "running"


def test_a_forked_child_waits_for_its_own_steps(receiver: Receiver) -> None:
    program = """
        import os, failpath_otel
        failpath = failpath_otel.configure(project_key="fp_project_forks", delivery="await", send_timeout=30.0)
        failpath.run("awaited", run_id="parent").step("pack", lambda: None)
        child = os.fork()
        if child == 0:
            failpath.run("awaited", run_id="child").step("pack", lambda: None)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("end", flush=True)
        os._exit(0)
    """
    succeed(program, receiver.url, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert status_of(receiver, "parent", "pack") == "success"
    assert status_of(receiver, "child", "pack") == "success"
