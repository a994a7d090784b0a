"""Time of the calling thread: how long a step keeps the application waiting."""

from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns
from typing import Final

from opentelemetry.sdk.trace import TracerProvider

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
    """One variant, and its times in microseconds per step."""

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
    it left to the background is waited for, outside of the measured time. A ratio is the median of the ratios
    within a round. Records wait in a journal, but for the row that says otherwise. A step is reported by our processor
    where the bare span has a batch processor with a null exporter;
    in the third row its span goes to such a batch processor as well. The saturated row has long bursts in which the
    background threads compete with the caller.
    """
    ours, journaling = (TracerProvider(shutdown_on_exit=False) for _ in range(2))
    both, bare_host, otlp_host = (provider_to(NullExporter()) for _ in range(3))
    clients = {
        "journal": configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=journaling),
        "step": configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=ours, journal=None),
        "both": configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=both),
        "none": configure(project_key=PROJECT_KEY, endpoint=sink.endpoint),  # no global provider: a private one
    }
    bare = _Subject("bare span", bare_span(bare_host), bare_host.force_flush)
    otlp = _Subject("otlp", step_of(Failpath(tracer_provider=otlp_host)), otlp_host.force_flush)
    steps = {name: _Subject(name, step_of(client), client.flush) for name, client in clients.items()}
    steps["both"].settle = both.force_flush

    _take_turns([bare, otlp, *steps.values()], _ROUNDS, _BURST)
    rows = [
        _row(steps["journal"], bare, "caller: step", bar=1.40, goal=1.25),
        _row(steps["step"], bare, "caller: step, in memory alone", bar=1.35, goal=1.20),
        _row(steps["both"], bare, "caller: step, its span also goes to a batch processor"),
        _row(steps["none"], bare, "caller: step, no OpenTelemetry", bar=0.55, goal=0.45),
        _row(otlp, bare, "caller: step, OTLP only client"),
    ]
    _take_turns([bare, steps["journal"]], _SATURATED_ROUNDS, _SATURATED_BURST)
    rows.append(_row(steps["journal"], bare, "caller: step, saturated, background included"))

    arrived = len(sink.take().records)
    expected = {name: 2 * subject.steps for name, subject in steps.items()}
    for name, client in clients.items():
        check_delivered(client, steps[name].steps, arrived - sum(expected.values()) + expected[name])
        client.shutdown()
    for provider in (ours, journaling, both, bare_host, otlp_host):
        provider.shutdown()
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
    least = min(subject.times) / min(bare.times)
    figure = f"{_microseconds(subject)}; min {min(subject.times):.1f}, {least:.2f} of the baseline's"
    return Row(name, figure, f"{_microseconds(bare)}; min {min(bare.times):.1f}", ratio, bar=bar, goal=goal)


def _microseconds(subject: _Subject) -> str:
    return f"{median(subject.times):.1f} µs"
