"""A workflow of DBOS that knows nothing of steps, and hangs in the second one."""

import sys
import time
from pathlib import Path

from dbos import DBOS, SetWorkflowID
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel

order, service, database = sys.argv[1:]
trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": service})))
failpath_otel.configure(rules="preset:dbos")
DBOS(
    config={
        "name": "shop",
        "system_database_url": f"sqlite:///{Path(database)}",
        "enable_otlp": True,
        "run_admin_server": False,
        "log_level": "CRITICAL",
    }
)


@DBOS.step(name="price-cart")
def price_cart() -> int:
    return 4999


@DBOS.step(name="charge-card")
def charge_card(cents: int) -> str:
    time.sleep(60)
    return f"ch_{cents}"


@DBOS.workflow(name="checkout")
def checkout() -> str:
    charge_id: str = charge_card(price_cart())
    return charge_id


DBOS.launch()
with SetWorkflowID(order):
    checkout()
