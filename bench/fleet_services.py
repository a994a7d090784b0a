"""Simulated services: each makes steps, and sends them by OTLP, by the specification, until a gateway accepts them."""

import asyncio
import gzip
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bench.sink import HOST

_INTERVAL: Final = 3.0
"""Seconds between two requests of a service, on average, each with what it has made since the one before."""

_MOST_STEPS: Final = 7
_ERRORS: Final = 0.05
_TIMEOUT: Final = 10.0
_FIRST_DELAY: Final = 1.0
_MAX_DELAY: Final = 5.0
_JITTER: Final = 0.2
COME_AGAIN: Final = frozenset({429, 502, 503, 504})
_OK: Final = 200

Key = tuple[str, str, str]
"""A record: trace, span, status."""


@dataclass
class Made:
    """What all services have made, and which answers they got."""

    steps: int = 0
    records: dict[Key, int] = field(default_factory=dict)
    """The records that have to arrive, and when the step has ended (nanoseconds)."""

    requests: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Requests that got no answer: refused, cut off, or too late."""

    final: Counter[int] = field(default_factory=Counter)
    """Answers after which the specification forbids to come again, or that take a part only."""


class Service:
    """One service: its steps in batches, one request at a time, kept until a gateway has accepted it.

    Without an answer, or after a retryable one, it sends to any gateway the next time, as behind a load balancer. It
    never gives up, like a Collector without a time limit, and unlike an SDK's exporter.
    """

    def __init__(self, number: int, seed: int, ports: list[int], made: Made) -> None:
        self._number: Final = number
        self._chance: Final = Random(f"{seed} {number}")
        self._ports: Final = ports
        self._made: Final = made

    async def run(self, seconds: float) -> None:
        """Make steps for some seconds, and send until all are accepted."""
        until = time.monotonic() + seconds
        for number in itertools.count():
            await asyncio.sleep(self._chance.uniform(0, 2 * _INTERVAL))
            if time.monotonic() > until:
                return
            await self._export(self._batch(number))

    def _batch(self, number: int) -> bytes:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(_text("service.name", f"service-{self._number}"))
        spans = resource.scope_spans.add().spans
        trace_id = self._chance.getrandbits(128) or 1
        for step in range(self._chance.randint(1, _MOST_STEPS)):
            spans.append(self._step(trace_id, f"run-{self._number}-{number}", f"step-{step}"))
        spans.append(self._span(trace_id, "SELECT", []))
        body: bytes = request.SerializeToString()
        return body

    def _step(self, trace_id: int, run_id: str, step: str) -> Span:
        attributes = {"failpath.flow.key": "fleet", "failpath.run.id": run_id, "failpath.step.key": step}
        attributes["failpath.metadata.cart_id"] = "cart_1842"
        span = self._span(trace_id, step, [_text(name, text) for name, text in attributes.items()])
        failed = self._chance.random() < _ERRORS
        if failed:
            span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="out of stock"))
        self._made.steps += 1
        for status in ("running", "error" if failed else "success"):
            self._made.records[span.trace_id.hex(), span.span_id.hex(), status] = span.end_time_unix_nano
        return span

    def _span(self, trace_id: int, name: str, attributes: list[KeyValue]) -> Span:
        ended = time.time_ns()
        return Span(
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=(self._chance.getrandbits(64) or 1).to_bytes(8, "big"),
            name=name,
            start_time_unix_nano=ended - self._chance.randrange(1_000_000, 100_000_000),
            end_time_unix_nano=ended,
            attributes=attributes,
        )

    async def _export(self, body: bytes) -> None:
        headers = b"Content-Type: application/x-protobuf\r\n"
        if self._number % 2:
            body, headers = gzip.compress(body, 1), headers + b"Content-Encoding: gzip\r\n"
        head = b"POST /v1/traces HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n%bContent-Length: %d\r\n\r\n"
        message = head % (headers, len(body)) + body
        delay = _FIRST_DELAY
        while True:
            self._made.requests += 1
            pause = 0.0
            try:
                status, retry_after, content = await asyncio.wait_for(self._send(message), _TIMEOUT)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError):
                self._made.broken += 1
            else:
                self._made.answers[status] += 1
                if status not in COME_AGAIN:
                    if status != _OK or content:
                        self._made.final[status] += 1
                    return
                pause = retry_after
            await asyncio.sleep(max(pause, delay * self._chance.uniform(1 - _JITTER, 1 + _JITTER)))
            delay = min(2 * delay, _MAX_DELAY)

    async def _send(self, message: bytes) -> tuple[int, float, bytes]:
        """Return the status, the seconds of ``Retry-After``, and the body."""
        reader, writer = await asyncio.open_connection(HOST, self._chance.choice(self._ports))
        try:
            writer.write(message)
            answer = await reader.read()
        finally:
            writer.close()
        head, ended, content = answer.partition(b"\r\n\r\n")
        if not ended:
            raise EOFError
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(content) != int(headers.get("content-length", -1)):
            raise EOFError
        return int(first.split()[1]), float(headers.get("retry-after", 0)), content


def _text(key: str, text: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=text))
