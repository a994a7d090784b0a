"""Processor time of the whole process: what a step costs until it is delivered."""

from statistics import median
from time import process_time_ns
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from bench.sink import BenchError, Sink
from bench.span import PROJECT_KEY, Action, bare_span, check_delivered, provider_to, step_of
from bench.table import Row
from failpath_otel import configure

_ROUNDS: Final = 12
_STEPS: Final = 1_500  # fewer than OpenTelemetry's batch processor holds: it must drop none


def measure(sink: Sink) -> list[Row]:
    """Measure CPU time of all threads, from the first step until the last one is delivered to the sink.

    The sink is another process, whose time does not count. Rounds alternate between a step on a provider with only our
    processor, a step in a program without OpenTelemetry, and the same span through ``OTLPSpanExporter`` (http/protobuf)
    in a batch processor, each on a new provider and connection. The first round is a warm-up.
    """
    host, none, otlp = [], [], []
    for _ in range(_ROUNDS + 1):
        host.append(_by_failpath(sink, TracerProvider(shutdown_on_exit=False)))
        none.append(_by_failpath(sink, None))
        otlp.append(_by_otlp(sink))
    return [
        _row("cpu: step, delivery included, against OTLP", host[1:], otlp[1:], bar=0.75, goal=0.55),
        _row("cpu: the same, no OpenTelemetry", none[1:], otlp[1:], bar=0.35, goal=0.30),
    ]


def _row(measure: str, ours: list[float], theirs: list[float], *, bar: float, goal: float) -> Row:
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    figure, baseline = (f"{median(times):.1f} µs; min {min(times):.1f}" for times in (ours, theirs))
    return Row(measure, figure, baseline, ratio, bar=bar, goal=goal)


def _by_failpath(sink: Sink, provider: TracerProvider | None) -> float:
    client = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=provider)
    earlier = client.stats().accepted  # the private provider of all rounds is the same
    spent = _spent(step_of(client), client.flush)
    check_delivered(client, _STEPS, len(sink.take().records), earlier)
    client.shutdown()
    return spent


def _by_otlp(sink: Sink) -> float:
    provider = provider_to(OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces"))
    spent = _spent(bare_span(provider), provider.force_flush)
    arrived = sink.take().spans
    if arrived != _STEPS:
        msg = f"spans were lost on the way by OTLP: {_STEPS} expected, {arrived} arrived"
        raise BenchError(msg)
    provider.shutdown()
    return spent


def _spent(act: Action, settle: Action) -> float:
    begin = process_time_ns()
    for _ in range(_STEPS):
        act()
    settle()
    return (process_time_ns() - begin) / 1000 / _STEPS
