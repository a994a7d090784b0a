"""Delay until a step shows as running, and what an idle process spends."""

import random
import resource
import time
from datetime import datetime, timezone
from statistics import median
from typing import Any, Final

from opentelemetry.sdk.trace import TracerProvider

from bench.sink import Sink
from bench.span import PROJECT_KEY, check_delivered, step_of
from bench.table import Row
from failpath_otel import configure

_STEPS: Final = 100
_PER_SECOND: Final = 20
_IDLE_SECONDS: Final = 5.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def measure(sink: Sink) -> list[Row]:
    """Measure from a record's timestamp, the start of the step, to its request's last byte at the sink.

    Steps come 20 per second on average, at random intervals, so that they meet every phase of the batching. Then the
    process is idle for five seconds with an open connection, and its CPU time is read.
    """
    client = configure(
        project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=TracerProvider(shutdown_on_exit=False)
    )
    step = step_of(client)
    step()
    client.flush()
    distances = random.Random(1)
    begin = _cpu_seconds()
    for _ in range(_STEPS):
        step()
        time.sleep(distances.uniform(0, 2 / _PER_SECOND))
    client.flush()
    spent = (_cpu_seconds() - begin) * 1e6 / _STEPS
    idle = _idle_percent()
    records = sink.take().records
    check_delivered(client, _STEPS + 1, len(records))
    client.shutdown()
    # The first step opened the connection, which the others found open.
    delays = sorted(_delay(record) for record in records if record["status"] == "running")[:_STEPS]
    p95 = delays[round(0.95 * len(delays)) - 1]
    missing = _STEPS - len(delays)
    return [
        Row(
            f"latency: running at the receiver, {_PER_SECOND} steps/s",
            f"p95 {p95:.0f} ms, p50 {median(delays):.0f} ms, {missing} missing",
            value=p95,
            unit=" ms",
            bar=110,
            goal=60,
        ),
        Row(
            f"latency: process CPU at {_PER_SECOND} steps/s",
            f"{spent:.0f} µs a step",
            value=spent,
            unit=" µs",
            bar=1_200,
            goal=600,
        ),
        Row("idle CPU, of a core", f"{idle:.3f} %", value=idle, unit=" %", bar=0.2, goal=0.01),
    ]


def _delay(record: dict[str, Any]) -> float:
    """Return the milliseconds from the start of a step to the arrival of its record."""
    began = datetime.strptime(record["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    microseconds = (began - _EPOCH).total_seconds() * 1e6
    return (int(record["arrived"]) / 1000 - microseconds) / 1000


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _idle_percent() -> float:
    begin = _cpu_seconds()
    time.sleep(_IDLE_SECONDS)
    return (_cpu_seconds() - begin) / _IDLE_SECONDS * 100
