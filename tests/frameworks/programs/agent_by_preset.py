"""An agent of Pydantic AI that knows nothing of steps, and whose tool hangs."""

import sys
import time

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import failpath_otel

trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": sys.argv[1]})))
failpath_otel.configure(rules="preset:gen_ai")
Agent.instrument_all()
agent = Agent(TestModel(), name="support")


@agent.tool_plain
def look_up_order() -> str:
    """Look up an order."""
    time.sleep(60)
    return "on its way"


agent.run_sync("Where is my order?")
