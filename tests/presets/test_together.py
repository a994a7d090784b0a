"""Presets of several instrumentations in one program: a request, the task that it sends, and the statements of both."""

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

import django
import failpath_otel
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

trace.set_tracer_provider(TracerProvider())
failpath = failpath_otel.configure()
engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE orders (paid INTEGER)"))
SQLAlchemyInstrumentor().instrument(engine=engine)
CeleryInstrumentor().instrument()
app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.update(broker_transport_options={"polling_interval": 0.01}, worker_hijack_root_logger=False)


@app.task(name="shop.charge")
def charge():
    with engine.begin() as connection:
        connection.execute(text("UPDATE orders SET paid = 1"))


def wait_for(records):
    # A result is there before the span of its task has ended.
    while failpath.stats().accepted < records:
        time.sleep(0.01)


def checkout(request):
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders VALUES (0)"))
    charge.delay().get(timeout=30, interval=0.01)
    wait_for(7)
    return HttpResponse("paid")


class Urls:
    urlpatterns = [path("checkout", checkout)]


settings.configure(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", LOGGING_CONFIG=None)
DjangoInstrumentor().instrument()
django.setup()
with start_worker(app, pool="solo", perform_ping_check=False, loglevel="CRITICAL"):
    print(Client().post("/checkout", headers={"baggage": "failpath.run.id=order-17"}).status_code, flush=True)
    print(failpath.flush(30), flush=True)
    os._exit(0)  # a worker in a thread takes seconds to stop
"""


def test_a_request_its_task_and_the_statements_of_both_are_one_run_of_one_flow_each_step_once(
    server: FaultServer,
) -> None:
    ended = run_program(
        PROGRAM, server.url, FAILPATH_RULES="preset:django,celery,sqlalchemy", OTEL_SERVICE_NAME=SERVICE
    )
    assert (ended.code, ended.lines) == (0, ["200", "True"]), ended
    told = rows(server.events)
    assert told == [
        *(("order-17", "POST checkout", "running"), ("order-17", "INSERT", "running")),
        *(("order-17", "INSERT", "success"), ("order-17", "shop.charge", "running")),
        *(("order-17", "UPDATE", "running"), ("order-17", "UPDATE", "success")),
        *(("order-17", "shop.charge", "success"), ("order-17", "POST checkout", "success")),
    ]
    parents = {event["stepKey"]: event.get("parentSpanId") for event in server.events}
    ids = {event["stepKey"]: event["spanId"] for event in server.events}
    assert parents["INSERT"] == ids["POST checkout"]
    assert parents["UPDATE"] == ids["shop.charge"]
    assert pages_of(server.events) == documented("Presets together")
