"""How long a step keeps one of many threads waiting that all make steps."""

from statistics import median
from threading import Barrier, Thread
from time import perf_counter_ns
from typing import Final

from opentelemetry.sdk.trace import TracerProvider

from bench.sink import Sink
from bench.span import PROJECT_KEY, Action, NullExporter, bare_span, check_delivered, provider_to, step_of
from bench.table import Row
from failpath_otel import configure

_THREADS: Final = 32
_EACH: Final = 300
_ROUNDS: Final = 9


def measure(sink: Sink) -> list[Row]:
    """Measure each step of 32 threads that make 300 in a row, all at once.

    The rounds take turns with a bare span, a batch processor and a null exporter behind it. A figure is the median of
    nine rounds, each of which has one 99th percentile of all its steps. What the steps have left to the background is
    waited for after each round; it competes with them while they are made.
    """
    bare_host, host = provider_to(NullExporter()), TracerProvider(shutdown_on_exit=False)
    journal = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=host)
    none = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint)
    subjects: list[tuple[Action, Action]] = [
        (bare_span(bare_host), bare_host.force_flush),
        (step_of(journal), journal.flush),
        (step_of(none), none.flush),
    ]
    arrived = 0
    percentiles: list[list[float]] = [[] for _ in subjects]
    for number in range(_ROUNDS + 1):
        for place in range(len(subjects)):
            turn = (place + number) % len(subjects)
            act, settle = subjects[turn]
            percentiles[turn].append(_p99(act))
            settle()
            arrived += len(sink.take().records)
    bare, *ours = (each[1:] for each in percentiles)  # the first one warms up
    made = (_ROUNDS + 1) * _THREADS * _EACH
    for client in (journal, none):
        check_delivered(client, made, arrived - 2 * made)
        client.shutdown()
    for provider in (bare_host, host):
        provider.shutdown()
    return [
        _row(f"threads: {_THREADS}, p99 of a step", ours[0], bare, bar=2.0, goal=1.2),
        _row(f"threads: {_THREADS}, p99 of a step, no OpenTelemetry", ours[1], bare),
    ]


def _row(
    measure: str, ours: list[float], bare: list[float], bar: float | None = None, goal: float | None = None
) -> Row:
    figure, baseline = (f"{median(each):.2f} ms ({min(each):.2f} to {max(each):.2f})" for each in (ours, bare))
    return Row(measure, figure, baseline, median(ours) / median(bare), bar=bar, goal=goal)


def _p99(act: Action) -> float:
    """Return the 99th percentile of the milliseconds that each step takes."""
    ready = Barrier(_THREADS)
    times: list[int] = []

    def work() -> None:
        mine = []
        ready.wait()
        for _ in range(_EACH):
            begin = perf_counter_ns()
            act()
            mine.append(perf_counter_ns() - begin)
        times.extend(mine)

    threads = [Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    return times[len(times) * 99 // 100] / 1e6
