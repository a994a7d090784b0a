"""A program that takes a hundred steps of every form under one set-up, among spans of its own, and says what it saw."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import attach
from opentelemetry.propagate import extract, inject

import failpath_otel
from failpath_otel import Failpath, FailpathClient
from tests.integration.setups import ALL, NO_HEADER, ROUNDS, exporters

CONFIGURED: Final = "configured"
SPANS_ALONE: Final = "spans alone"
WITHOUT_US: Final = "without us"

FLOW: Final = "checkout"
ERROR: Final = "error"
_FORMS: Final = (
    "function",
    ERROR,
    "block",
    "decorated",
    "outer",
    "inner",
    "current",
    "generator",
    "coroutine",
    "async-block",
)
KEYS: Final = [f"{form}-{number}" for number in range(ROUNDS) for form in _FORMS]
"""The keys of all steps, in the order in which they begin."""

_HALF_STEPS: Final[list[dict[str, Any]]] = [
    {"failpath.flow.key": FLOW},
    {"failpath.step.key": "half"},
    {"failpath.flow.key": FLOW, "failpath.step.key": 7},
]


class _Transparent(trace.TracerProvider, trace.NoOpTracer):
    """Makes no spans at all: what is current stays current."""

    def __init__(self) -> None:
        """Neither base has anything to set up."""

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        return self

    def start_span(self, *given: Any, **named: Any) -> trace.Span:
        return trace.NonRecordingSpan(trace.get_current_span().get_span_context())


class _Rounds:
    """The steps of one program; ``headers`` has the key of each that ran, and what a request in it would carry."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []

    def take(self, number: int, failpath: Failpath, tracer: trace.Tracer) -> None:
        """One step of every form."""

        def spans_of_its_own(name: str) -> None:
            with tracer.start_as_current_span(name):
                for attributes in _HALF_STEPS:
                    tracer.start_span(f"half {name}", attributes=attributes).end()

        def body(form: str) -> None:
            carrier: dict[str, str] = {}
            inject(carrier)
            self.headers.append((f"{form}-{number}", carrier.get("traceparent", NO_HEADER)))
            spans_of_its_own("inside")

        def fail() -> None:
            body(ERROR)
            raise ValueError("card declined")

        spans_of_its_own("outside")
        run = failpath.run(FLOW, run_id=f"run-{number}")
        run.step(f"function-{number}", lambda: body("function"))
        with tracer.start_as_current_span("around"):
            try:
                run.step(f"{ERROR}-{number}", fail)
            except ValueError:
                spans_of_its_own("between")
            with run.step(f"block-{number}") as step:
                step.set_metadata(number=number)
                body("block")
        run.step(f"decorated-{number}")(body)("decorated")
        with run.step(f"outer-{number}"):
            body("outer")
            with tracer.start_as_current_span("around inner"):
                run.step(f"inner-{number}", lambda: body("inner"))

        def items() -> Iterator[int]:
            yield 1
            body("generator")

        with run:
            failpath.step(f"current-{number}")(body)("current")
            list(failpath.step(f"generator-{number}")(items)())

        async def work() -> None:
            await asyncio.sleep(0)
            body("coroutine")

        async def main() -> None:
            await run.step(f"coroutine-{number}", work)
            async with run.step(f"async-block-{number}"):
                await asyncio.sleep(0)
                body("async-block")

        asyncio.run(main())


def main(name: str, mode: str) -> str:
    """Runs under the set-up ``name``; ``mode`` says whether steps are delivered, only spans, or not even that.

    Returns:
        What was seen, as JSON.
    """
    setup = ALL[name]
    clients: list[FailpathClient] = []

    def connect(**options: Any) -> Failpath:
        if mode == CONFIGURED:
            clients.append(failpath_otel.configure(**options))
            return clients[-1]
        provider = _Transparent() if mode == WITHOUT_US else options.get("tracer_provider")
        return Failpath(tracer_provider=provider)

    attach(extract({"traceparent": setup.parent}))
    rounds = _Rounds()
    for number, (failpath, provider) in enumerate(setup.rounds(connect)):
        rounds.take(number, failpath, trace.get_tracer("application", tracer_provider=provider))
    flushed = [client.flush(10) for client in clients]
    exported = [
        {"name": span.name, "attributes": dict(span.attributes or {})}
        for exporter in exporters
        for span in exporter.get_finished_spans()
    ]
    return json.dumps({"headers": rounds.headers, "flushed": all(flushed), "exported": exported})
