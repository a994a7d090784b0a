"""The preset for Celery, with its instrumentation and a worker in a process of its own."""

from typing import Final

import pytest

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import SERVICE, rows

pytestmark = pytest.mark.process

PROGRAM: Final = """
import os
import time

import failpath_otel
from celery import Celery
from celery.contrib.testing.worker import start_worker
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
failpath = failpath_otel.configure()
CeleryInstrumentor().instrument()
app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.update(broker_transport_options={"polling_interval": 0.01}, worker_hijack_root_logger=False)


@app.task(name="shop.ship")
def ship(order):
    return order


@app.task(name="shop.charge", bind=True, max_retries=1)
def charge(self, order):
    failpath.flush(30)
    print(failpath.stats().delivered, flush=True)
    if not self.request.retries:
        raise self.retry(countdown=0)
    if order == 2:
        raise PermissionError("card declined")


def wait_for(records):
    # A result is there before the span of its task has ended.
    while failpath.stats().accepted < records:
        time.sleep(0.01)


with start_worker(app, pool="solo", perform_ping_check=False, loglevel="CRITICAL"):
    for task in (charge, ship):
        print(repr(task.si(1).apply_async().get(timeout=30, interval=0.01)), flush=True)
    print(repr(charge.delay(2).get(timeout=30, interval=0.01, propagate=False)), flush=True)
    wait_for(10)
    print(failpath.flush(30), flush=True)
    os._exit(0)  # a worker in a thread takes seconds to stop
"""


def test_a_task_is_a_step_in_the_run_of_its_sender_a_retry_is_an_attempt_and_a_task_that_raises_an_error(
    server: FaultServer,
) -> None:
    ended = run_program(PROGRAM, server.url, FAILPATH_RULES="preset:celery", OTEL_SERVICE_NAME=SERVICE)
    assert ended.code == 0, ended
    charge, ship = "shop.charge", "shop.ship"
    assert rows(server.events) == [
        *(("trace", charge, "running"), ("trace", charge, "error"), ("trace", charge, "running")),
        *(("trace", charge, "success"), ("trace", ship, "running"), ("trace", ship, "success")),
        *(("trace", charge, "running"), ("trace", charge, "error")) * 2,
    ]
    assert len({event["runId"] for event in server.events}) == 3
    assert ended.lines == ["1", "3", "None", "1", "7", "9", "PermissionError('card declined')", "True"]
    errors = [event["error"]["message"] for event in server.events if event["status"] == "error"]
    assert errors == ["Retry in 0s", "Retry in 0s", "card declined"]
    assert pages_of(server.events) == documented("celery")
