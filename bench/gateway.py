"""Throughput of a gateway's core: spans that it receives by OTLP and delivers per second."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from importlib.util import find_spec
from typing import Any, Final

import msgspec
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bench.server import started
from bench.sink import HOST, BenchError, Sink
from bench.span import PROJECT_KEY
from bench.table import Row
from failpath_otel import Failpath

_REQUESTS: Final = 100
_SPANS: Final = 512
_OTHERS: Final = 9
"""Spans of other libraries beside each step, in the mixed load."""

_STEPS_BAR: Final = 33.3
_STEPS_GOAL: Final = 16.7
"""Microseconds of one core: 30,000 and 60,000 spans a second."""

_MIXED_BAR: Final = 6.7
_MIXED_GOAL: Final = 4.0
"""Microseconds of one core: 150,000 and 250,000 spans a second."""

_OK: Final = 200
_KNOWS_GRPC: Final = find_spec("failpath_otel.serving.grpc") is not None
"""Whether the package that is measured, which may be another tree, serves gRPC."""


def measure(sink: Sink) -> list[Row]:
    """Send 512 spans per request, one after another over one connection, until the last record is at the sink.

    The figure is the processor time of the gateway's process, without its start.
    """
    steps, mixed = [_steps(number) for number in range(_REQUESTS)], [_mixed(number) for number in range(_REQUESTS)]
    rows = []
    for name, bodies, records, journal, bar, goal in (
        ("steps, into the journal", steps, 2 * _SPANS, True, _STEPS_BAR, _STEPS_GOAL),
        ("steps, without a journal", steps, 2 * _SPANS, False, _STEPS_BAR, _STEPS_GOAL),
        (f"1 step in {_OTHERS + 1} spans", mixed, 2 * (_SPANS // (_OTHERS + 1)), True, _MIXED_BAR, _MIXED_GOAL),
    ):
        by_http = _forward(sink, bodies, records * _REQUESTS, journal=journal)
        rows.append(_row(f"gateway: {name}", by_http, bar, goal))
        if _KNOWS_GRPC and find_spec("grpc") is not None:
            by_grpc = _forward(sink, bodies, records * _REQUESTS, journal=journal, by_grpc=True)
            rows.append(_row(f"gateway: {name}, by gRPC", by_grpc, bar, goal, by_http))
    return rows


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """What it took to forward all requests: processor time, time, and the most memory."""

    cpu: float
    wall: float
    mebibytes: float

    @property
    def each(self) -> float:
        """Microseconds of a core for a span."""
        return self.cpu / (_REQUESTS * _SPANS) * 1e6


def _row(measure: str, forwarded: _Forwarded, bar: float, goal: float, baseline: _Forwarded | None = None) -> Row:
    spans = _REQUESTS * _SPANS
    a_core, in_all = spans / forwarded.cpu, spans / forwarded.wall
    return Row(
        measure,
        f"{a_core:,.0f} spans/s a core, {forwarded.each:.1f} µs each; {in_all:,.0f}/s in all;"
        f" {forwarded.mebibytes:.0f} MiB",
        baseline="-" if baseline is None else f"{baseline.each:.1f} µs, {baseline.mebibytes:.0f} MiB by HTTP",
        ratio=None if baseline is None else forwarded.each / baseline.each,
        value=forwarded.each,
        unit=" µs each",
        bar=bar,
        goal=goal,
    )


def _forward(sink: Sink, bodies: Sequence[bytes], records: int, *, journal: bool, by_grpc: bool = False) -> _Forwarded:
    """Return what the delivery of the records took."""
    variables = {**os.environ, "FAILPATH_PROJECT_KEY": PROJECT_KEY, "FAILPATH_DEV_ENDPOINT": sink.endpoint}
    if not journal:
        variables["FAILPATH_JOURNAL"] = "off"
    options = ("--grpc-port", "0") if by_grpc else ("--grpc-port", "off") if _KNOWS_GRPC else ()
    with started("gateway", *options, variables=variables) as server, ExitStack() as stack:
        connection = HTTPConnection(HOST, server.port, timeout=60)
        send = _grpc_sender(stack, server.grpc_port) if by_grpc else partial(_send, connection)
        send(bodies[0])  # loads what the first request loads
        _wait(connection, records // len(bodies))
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        for body in bodies[1:]:
            send(body)
        _wait(connection, records)
        spent, wall = server.cpu_seconds() - cpu, time.perf_counter() - begin
        mebibytes = server.resident_mebibytes()
    arrived = len(sink.take().records)
    if arrived != records:
        msg = f"{records} records were sent by the gateway, {arrived} arrived"
        raise BenchError(msg)
    part = len(bodies) / (len(bodies) - 1)
    return _Forwarded(spent * part, wall * part, mebibytes)


def _grpc_sender(stack: ExitStack, port: int | None) -> Callable[[bytes], object]:
    """Return a function that sends a body by gRPC, over one connection."""
    import grpc  # noqa: PLC0415 - an extra

    channel = stack.enter_context(grpc.insecure_channel(f"{HOST}:{port}"))
    return partial(channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export"), timeout=60)


def _send(connection: HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != _OK:
        msg = f"the gateway answered {answer.status}"
        raise BenchError(msg)


def _wait(connection: HTTPConnection, records: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        connection.request("GET", "/healthz")
        counts: Any = msgspec.json.decode(connection.getresponse().read())
        if counts["records"]["delivered"] >= records:
            return
        if time.monotonic() > deadline:
            msg = f"the records never came: {counts}"
            raise BenchError(msg)
        time.sleep(0.05)


def _steps(number: int) -> bytes:
    recorded = _Recorded()
    for _ in range(_SPANS):
        recorded.step(number)
    return recorded.body()


def _mixed(number: int) -> bytes:
    recorded = _Recorded()
    for index in range(_SPANS):
        if index % (_OTHERS + 1) == _OTHERS:
            recorded.step(number)
        else:
            recorded.query()
    return recorded.body()


class _Recorded:
    """Spans as an application makes them."""

    def __init__(self) -> None:
        resource = Resource({"service.name": "shop", "process.pid": 4711, "host.name": "box"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._failpath = Failpath(tracer_provider=self._provider)
        self._tracer = self._provider.get_tracer("sql")

    def step(self, number: int) -> None:
        run = self._failpath.run("checkout", run_id=f"req-{number}", metadata={"route": "/checkout"})
        run.step("charge-card", str, metadata={"cart_id": "cart_1842", "amount": 4999})

    def query(self) -> None:
        attributes = {f"db.{name}": f"some text about the {name}" for name in ("name", "statement", "user", "system")}
        self._tracer.start_span("SELECT", attributes=attributes).end()

    def body(self) -> bytes:
        spans: Sequence[ReadableSpan] = self._exporter.get_finished_spans()
        body: bytes = encode_spans(spans).SerializeToString()
        return body
