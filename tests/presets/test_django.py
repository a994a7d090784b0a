"""The preset for Django, with its instrumentation: as WSGI and as ASGI, in a process of its own because of settings."""

from typing import Final

import pytest

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.presets.run_pages import documented, pages_of
from tests.presets.watching import SERVICE, rows

pytestmark = pytest.mark.process

PROGRAM: Final = """
import asyncio

import django
import failpath_otel
from django.conf import settings
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
failpath = failpath_otel.configure()


def pay(request, number):
    failpath.flush(30)
    print(failpath.stats().delivered, flush=True)
    if number == 2:
        raise PermissionError("card declined")
    return HttpResponse("paid")


async def refund(request):
    await failpath.aflush(30)
    print(failpath.stats().delivered, flush=True)
    return HttpResponse("refunded")


class Urls:
    urlpatterns = [path("orders/<int:number>/pay", pay), path("refunds", refund)]


settings.configure(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", LOGGING_CONFIG=None)
DjangoInstrumentor().instrument()
django.setup()

client = Client(raise_request_exception=False)
print(*[client.post(url).status_code for url in ("/orders/1/pay", "/orders/2/pay", "/wp-admin")], flush=True)
print(asyncio.run(AsyncClient().get("/refunds")).status_code, failpath.flush(30), flush=True)
"""


def test_a_route_is_one_step_for_all_numbers_in_it_live_and_addresses_without_a_route_make_none(
    server: FaultServer,
) -> None:
    ended = run_program(PROGRAM, server.url, FAILPATH_RULES="preset:django", OTEL_SERVICE_NAME=SERVICE)
    pay, refund = "POST orders/<int:number>/pay", "GET refunds"
    assert rows(server.events) == [
        *(("trace", pay, "running"), ("trace", pay, "success")),
        *(("trace", pay, "running"), ("trace", pay, "error")),
        *(("trace", refund, "running"), ("trace", refund, "success")),
    ]
    # What was delivered while each view ran.
    assert (ended.code, ended.lines) == (0, ["1", "3", "200 500 404", "5", "200 True"]), ended
    [failed] = [event for event in server.events if event["status"] == "error"]
    assert failed["error"] == {"name": "PermissionError", "message": "card declined"}
    assert pages_of(server.events) == documented("django")
