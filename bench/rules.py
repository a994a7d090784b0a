"""Cost of rules for a span that none of them matches."""

from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from bench.sink import Sink
from bench.span import PROJECT_KEY
from bench.table import Row
from failpath_otel import FailpathSpanProcessor, StepRule

_ROUNDS: Final = 200
_BURST: Final = 500
_RULES: Final = 50


def measure(sink: Sink) -> list[Row]:
    """Measure a span that starts and ends behind our processor, in alternating bursts.

    There are fifty rules, every other one with a star. Names that come again are those of an instrumentation that
    follows OpenTelemetry's conventions; a new name each time is the worst case. A ratio is the median of the ratios
    within a round.
    """
    rules = [StepRule("flow", f"step-{n}", span_name=f"POST /{n}" + "/*" * (n % 2)) for n in range(_RULES)]
    none = FailpathSpanProcessor(project_key=PROJECT_KEY, endpoint=sink.endpoint, rules=())
    fifty = FailpathSpanProcessor(project_key=PROJECT_KEY, endpoint=sink.endpoint, rules=rules)
    asking = FailpathSpanProcessor(project_key=PROJECT_KEY, endpoint=sink.endpoint, rules=_asking())
    subjects = [_spans(processor, name) for name in ("GET /orders", None) for processor in (none, fifty)]
    subjects += [_spans(asking, "GET /orders", kind) for kind in (SpanKind.CLIENT, SpanKind.SERVER)]
    times: list[list[float]] = [[] for _ in subjects]
    for number in range(_ROUNDS + 1):
        for place in range(len(subjects)):
            turn = (place + number) % len(subjects)
            times[turn].append(subjects[turn]())
    without, matched, without_new, new, present, absent = (each[1:] for each in times)  # the first one warms up
    for processor in (none, fifty, asking):
        processor.shutdown()
    return [
        _row("rules: span that matches none of 50, against no rules", matched, without),
        _row("rules: the same, each span with a name of its own", new, without_new),
        _row("rules: span whose name five of 50 match, of another kind", present, without),
        _row("rules: the same, of their kind, without the attribute they ask for", absent, without),
    ]


def _asking() -> list[StepRule]:
    """Return fifty rules, five of which are for any name, and ask for a kind and an attribute."""
    return [
        StepRule("flow", "{1}", span_name="*", kind="server", where={"http.route": f"/{number}/*"})
        if number % 10 == 0
        else StepRule("flow", "{1}", span_name=f"POST /{number}/*")
        for number in range(_RULES)
    ]


def _spans(
    processor: FailpathSpanProcessor, name: str | None, kind: SpanKind = SpanKind.INTERNAL
) -> Callable[[], float]:
    """Return a burst of spans, which returns its time in microseconds per span."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    start = provider.get_tracer("opentelemetry.instrumentation.flask").start_span
    count = 0

    def burst() -> float:
        nonlocal count
        names = [name or f"GET /orders/{count + number}" for number in range(_BURST)]
        count += _BURST
        begin = perf_counter_ns()
        for each in names:
            start(each, kind=kind).end()
        return (perf_counter_ns() - begin) / 1000 / _BURST

    return burst


def _row(measure: str, ours: list[float], theirs: list[float]) -> Row:
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Row(measure, f"{median(ours):.2f} µs", f"{median(theirs):.2f} µs", ratio)
