"""The preset for Hatchet: its instrumentation over its runner. There is no engine: the test hands out the tasks."""

import asyncio
import base64
import json
import queue
from typing import Any

import pytest
from hatchet_sdk import Context, EmptyModel, Hatchet
from hatchet_sdk.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_COMPLETED as COMPLETED
from hatchet_sdk.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_FAILED as FAILED
from hatchet_sdk.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_STARTED as STARTED
from hatchet_sdk.opentelemetry.instrumentor import HatchetInstrumentor
from hatchet_sdk.runnables.action import Action, ActionPayload, ActionType
from hatchet_sdk.worker.runner.runner import Runner
from hatchet_sdk.worker.runner.utils.capture_logs import AsyncLogSender

from tests.frameworks.conftest import Watch
from tests.ports import unused_port
from tests.presets.run_pages import documented, pages_of


def token(port: int) -> str:
    """A token that names an engine to which no connection is ever made."""
    address = {"server_url": f"http://127.0.0.1:{port}", "grpc_broadcast_address": f"127.0.0.1:{port}"}
    claims = {"sub": "11111111-1111-4111-8111-111111111111", **address}
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "none"}, claims, {})
    )


@pytest.fixture
def hatchet(monkeypatch: pytest.MonkeyPatch, task_in_name: bool) -> Hatchet:
    monkeypatch.setenv("HATCHET_CLIENT_TOKEN", token(unused_port()))
    monkeypatch.setenv("HATCHET_CLIENT_TLS_STRATEGY", "none")
    name = "HATCHET_CLIENT_OPENTELEMETRY_INCLUDE_TASK_NAME_IN_START_STEP_RUN_SPAN_NAME"
    monkeypatch.setenv(name, str(task_in_name))
    made = Hatchet()
    instrumentor = HatchetInstrumentor(config=made.config, enable_hatchet_otel_collector=False)
    # Once for all tests: `uninstrument` leaves its wrappers in place.
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
    return made


def assignment(run: str, task: str, attempt: int) -> Action:
    """What the engine would send."""
    return Action(
        action_type=ActionType.START_STEP_RUN,
        action_id=f"checkout:{task}",
        job_name="checkout",
        step_name=task,
        workflow_run_id=run,
        step_run_id=f"{run}-{task}",
        retry_count=attempt,
        action_payload=ActionPayload(),
        additional_metadata={},
        **dict.fromkeys(("worker_id", "tenant_id", "job_id", "job_run_id", "step_id"), "any"),
    )


async def work_through(hatchet: Hatchet, workflow: Any, *assignments: Action) -> list[Any]:
    """Runs tasks one after another, as a worker would, and returns what it would report to the engine."""
    reported: queue.Queue[Any] = queue.Queue()
    registry = {f"checkout:{task.name}": task for task in workflow.tasks}
    logs = AsyncLogSender(hatchet.event)
    runner = Runner(reported, hatchet.config, 1, 1, False, registry, [], None, logs)
    for assigned in assignments:
        runner.run(assigned)
        await asyncio.gather(*runner.running_tasks)
    runner.thread_pool.shutdown()
    return [event.type for event in reported.queue]


@pytest.mark.parametrize("task_in_name", [False, True])
def test_a_task_is_a_step_of_the_flow_of_its_workflow_in_the_run_of_the_workflow_and_each_retry_an_attempt(
    watch: Watch, hatchet: Hatchet
) -> None:
    watched = watch("preset:hatchet")
    workflow = hatchet.workflow(name="checkout")

    @workflow.task(name="charge-card", retries=1)
    def charge_card(given: EmptyModel, context: Context) -> dict[str, bool]:
        watched.look("checkout")
        if not context.retry_count:
            raise PermissionError("card declined")
        return {"paid": True}

    @workflow.task(name="ship")
    async def ship(given: EmptyModel, context: Context) -> dict[str, bool]:
        return {"shipped": True}

    tasks = [("charge-card", 0), ("charge-card", 1), ("ship", 0)]
    reported = asyncio.run(work_through(hatchet, workflow, *(assignment("run-17", *task) for task in tasks)))
    assert reported == [STARTED, FAILED, STARTED, COMPLETED, STARTED, COMPLETED]
    first = [("run-17", "charge-card", "running"), ("run-17", "charge-card", "error")]
    second = [("run-17", "charge-card", "running"), ("run-17", "charge-card", "success")]
    assert watched.rows("checkout") == [
        *(*first, *second),
        *(("run-17", "ship", "running"), ("run-17", "ship", "success")),
    ]
    assert watched.inside == [first[:1], [*first, second[0]]]
    assert watched.server.events[1]["error"] == {"name": "PermissionError", "message": "card declined"}
    assert pages_of(watched.server.events) == documented("hatchet")
