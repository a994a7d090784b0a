"""The caller's time: how long a step keeps the application waiting."""

from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns
from typing import Final

from bench.sink import Sink
from bench.span import PROJECT_KEY, Action, NullExporter, bare_span, check_delivered, provider_to, step_of
from bench.table import Row
from failpath_otel import Failpath, configure

_ROUNDS: Final = 200
_BURST: Final = 200
_SATURATED_ROUNDS: Final = 9
_SATURATED_BURST: Final = 3_000


@dataclass(slots=True)
class _Subject:
    """One way to do it, and its times in microseconds per step."""

    name: str
    act: Action
    settle: Action
    steps: int = 0
    times: list[float] = field(default_factory=list)

    def burst(self, count: int) -> None:
        act = self.act
        begin = perf_counter_ns()
        for _ in range(count):
            act()
        self.times.append((perf_counter_ns() - begin) / 1000 / count)
        self.steps += count
        self.settle()


def measure(sink: Sink) -> list[Row]:
    """Wall time on the calling thread, in short bursts that take turns.

    All subjects run in this process, one burst after another, in an order that rotates; after each burst everything
    it left to the background is waited for, so that it falls into nobody's time. A ratio is the median of the ratios
    within a round. The saturated row has long bursts in which the background threads compete with the caller.
    """
    host, bare_host, otlp_host = (provider_to(NullExporter()) for _ in range(3))
    client = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=host)
    alone = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint)  # no global provider: a private one
    bare = _Subject("bare span", bare_span(bare_host), bare_host.force_flush)
    step = _Subject("step, host exports too", step_of(client), host.force_flush)
    otlp = _Subject("step, OTLP only", step_of(Failpath(tracer_provider=otlp_host)), otlp_host.force_flush)
    plain = _Subject("step, no OpenTelemetry", step_of(alone), alone.flush)

    subjects = [bare, step, otlp, plain]
    _take_turns(subjects, _ROUNDS, _BURST)
    rows = [
        _row(step, bare, "caller: step, provider exports too", bar=1.5, goal=1.25),
        _row(otlp, bare, "caller: step, OTLP only client"),
        _row(plain, bare, "caller: step, no OpenTelemetry"),
    ]
    _take_turns([bare, step], _SATURATED_ROUNDS, _SATURATED_BURST)
    rows.append(_row(step, bare, "caller: saturated, background included"))

    arrived = len(sink.take().records)
    check_delivered(client, step.steps, arrived - 2 * plain.steps)
    check_delivered(alone, plain.steps, arrived - 2 * step.steps)
    for provider in (host, bare_host, otlp_host):
        provider.shutdown()
    client.shutdown()
    alone.shutdown()
    return rows


def _take_turns(subjects: list[_Subject], rounds: int, burst: int) -> None:
    for subject in subjects:
        subject.burst(burst)  # warms up
        subject.times.clear()
    for number in range(rounds):
        turn = number % len(subjects)
        for subject in subjects[turn:] + subjects[:turn]:
            subject.burst(burst)


def _row(subject: _Subject, bare: _Subject, name: str, bar: float | None = None, goal: float | None = None) -> Row:
    ratio = median(mine / theirs for mine, theirs in zip(subject.times, bare.times, strict=True))
    return Row(name, _microseconds(subject), _microseconds(bare), ratio, bar=bar, goal=goal)


def _microseconds(subject: _Subject) -> str:
    return f"{median(subject.times):.1f} µs (min {min(subject.times):.1f})"
