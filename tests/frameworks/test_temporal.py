"""The preset for Temporal: a worker and a workflow on Temporal's own test server, with both ways of tracing."""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.frameworks.checkout_workflow import Checkout
from tests.frameworks.conftest import Watch
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import SERVICE, Watched, rows

SERVER: Final = Path(sys.executable).with_name("temporal-test-server")


class Bank:
    """Declines each first attempt."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    @activity.defn(name="charge-card")
    async def charge_card(self) -> str:
        await asyncio.to_thread(self._watched.look)
        if activity.info().attempt == 1:
            raise PermissionError("card declined")
        return "paid"


async def run_both(watched: Watched, **tracing: Any) -> None:
    """Runs a workflow that succeeds, and one that fails after its activity."""
    async with (
        await WorkflowEnvironment.start_time_skipping(test_server_existing_path=str(SERVER), **tracing) as env,
        # Without a cache each task of a workflow runs it from its beginning.
        Worker(
            env.client,
            task_queue="shop",
            workflows=[Checkout],
            activities=[Bank(watched).charge_card],
            max_cached_workflows=0,
        ),
    ):
        handle = await env.client.start_workflow(Checkout.run, True, id="order-17", task_queue="shop")
        assert await handle.result() == "paid"
        handle = await env.client.start_workflow(Checkout.run, False, id="order-18", task_queue="shop")
        try:
            await handle.result()
        except WorkflowFailureError:
            return
        raise AssertionError("the workflow has not failed")


def test_an_activity_is_a_step_in_the_run_of_its_workflow_with_its_attempts_and_the_end_of_the_workflow_one(
    watch: Watch,
) -> None:
    watched = watch("preset:temporal")
    asyncio.run(run_both(watched, interceptors=[TracingInterceptor()]))
    attempts = [*(("charge-card", "running"), ("charge-card", "error")), ("charge-card", "running")]
    began = [("Checkout", "running"), ("Checkout", "success"), *attempts]
    assert watched.rows() == [
        *(("order-17", *each) for each in (*began, ("charge-card", "success"))),
        *(("order-17", "Checkout completed", status) for status in ("running", "success")),
        *(("order-18", *each) for each in (*began, ("charge-card", "success"))),
        *(("order-18", "Checkout completed", status) for status in ("running", "error")),
    ]
    assert watched.inside[0] == [("order-17", *each) for each in began[:3]]
    errors = [event["error"] for event in watched.server.events if event["status"] == "error"]
    assert errors[0] == {"name": "PermissionError", "message": "card declined"}
    assert errors[-1]["message"] == "nothing in stock"
    assert pages_of(watched.server.events) == documented("temporal")


PLUGIN: Final = """
import asyncio
import sys

import failpath_otel
from opentelemetry import trace
from temporalio import activity
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, create_tracer_provider
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.frameworks.checkout_workflow import Checkout

trace.set_tracer_provider(create_tracer_provider())
failpath = failpath_otel.configure()


@activity.defn(name="charge-card")
async def charge_card() -> str:
    await failpath.aflush(30)
    print(failpath.stats().delivered, flush=True)
    return "paid"


async def main() -> None:
    tracing = OpenTelemetryPlugin(add_temporal_spans=True)
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=sys.argv[1], plugins=[tracing]
    ) as env:
        # Without a cache each task of a workflow runs it from its beginning, and starts its span once more.
        async with Worker(
            env.client, task_queue="shop", workflows=[Checkout], activities=[charge_card], max_cached_workflows=0
        ):
            for order, in_stock in (("order-17", True), ("order-18", False)):
                handle = await env.client.start_workflow(Checkout.run, in_stock, id=order, task_queue="shop")
                await asyncio.wait([asyncio.ensure_future(handle.result())])


asyncio.run(main())
print(failpath.flush(30), flush=True)
"""


def test_with_the_newer_plugin_a_workflow_is_one_step_around_its_activities_also_where_it_is_replayed(
    server: FaultServer,
) -> None:
    code = PLUGIN.replace("sys.argv[1]", repr(str(SERVER)))
    ended = run_program(code, server.url, FAILPATH_RULES="preset:temporal", OTEL_SERVICE_NAME=SERVICE)
    # The second time by a replay, whose span has the ids of the first, and so is the same attempt.
    began = [("Checkout", "running"), *(("charge-card", status) for status in ("running", "success"))]
    assert rows(server.events) == [
        *(("order-17", *each) for each in (*began, ("Checkout", "running"), ("Checkout", "success"))),
        *(("order-18", *each) for each in (*began, ("Checkout", "running"), ("Checkout", "error"))),
    ]
    assert ended.lines[-3:] == ["2", "7", "True"], ended
    assert len({event["spanId"] for event in server.events if event["stepKey"] == "Checkout"}) == 2
    [failed] = [event["error"] for event in server.events if event["status"] == "error"]
    assert failed == {"name": "temporalio.exceptions.ApplicationError", "message": "nothing in stock"}
