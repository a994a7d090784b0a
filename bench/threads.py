"""How long a step keeps one of many threads waiting that all make steps."""

from statistics import median
from threading import Barrier, Thread
from time import perf_counter_ns, sleep
from typing import Final

from opentelemetry.sdk.trace import TracerProvider

from bench.sink import BenchError, Sink
from bench.span import PROJECT_KEY, Action, NullExporter, bare_span, check_delivered, provider_to, step_of
from bench.table import Row
from failpath_otel import configure

_THREADS: Final = 32
_EACH: Final = 300
_EACH_WITH_PAUSES: Final = 60
_PAUSE_SECONDS: Final = 0.002
_ROUNDS: Final = 9
_FLUSH_SECONDS: Final = 30.0


def measure(sink: Sink) -> list[Row]:
    """Measure each step of 32 threads that make 300 in a row, all at once, and of 32 that pause for 2 ms after each.

    The rounds take turns with a bare span, a batch processor and a null exporter behind it. A figure is the median of
    nine rounds, each of which has one 99th percentile of all its steps. What the steps have left to the background is
    waited for after each round; it competes with them while they are made. Where threads never pause, the interpreter
    takes the processor from each after 5 ms: the percentile has that wait in it once a step takes 50 µs.
    """
    host = TracerProvider(shutdown_on_exit=False)
    bare_host = provider_to(NullExporter(), queue=_THREADS * _EACH)
    journal = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint, tracer_provider=host)
    none = configure(project_key=PROJECT_KEY, endpoint=sink.endpoint)
    subjects: list[tuple[Action, Action]] = [
        (bare_span(bare_host), bare_host.force_flush),
        (step_of(journal), lambda: journal.flush(_FLUSH_SECONDS)),
        (step_of(none), lambda: none.flush(_FLUSH_SECONDS)),
    ]
    bare, with_host, without = _take_turns(subjects, sink, _EACH, 0)
    paced_bare, paced_host, paced_without = _take_turns(subjects, sink, _EACH_WITH_PAUSES, _PAUSE_SECONDS)
    for client in (journal, none):
        made = (_ROUNDS + 1) * _THREADS * (_EACH + _EACH_WITH_PAUSES)
        check_delivered(client, made, 2 * made)
        client.shutdown()
    for provider in (bare_host, host):
        provider.shutdown()
    name = f"threads: {_THREADS}, p99 of a step"
    return [
        _row(name, with_host, bare, bar=2.0, goal=1.2),
        _row(f"{name}, no OpenTelemetry", without, bare),
        _row(f"{name}, with pauses", paced_host, paced_bare, bar=2.0, goal=1.2),
        _row(f"{name}, with pauses, no OpenTelemetry", paced_without, paced_bare),
    ]


def _take_turns(subjects: list[tuple[Action, Action]], sink: Sink, each: int, pause: float) -> list[list[float]]:
    """Return the percentiles of all rounds for each subject."""
    percentiles: list[list[float]] = [[] for _ in subjects]
    for number in range(_ROUNDS + 1):
        for place in range(len(subjects)):
            turn = (place + number) % len(subjects)
            act, settle = subjects[turn]
            percentiles[turn].append(_p99(act, each, pause))
            settle()
        expected, arrived = 2 * (len(subjects) - 1) * _THREADS * each, len(sink.take().records)
        if arrived != expected:
            msg = f"records were lost: {expected} expected, {arrived} arrived"
            raise BenchError(msg)
    return [figures[1:] for figures in percentiles]  # the first round warms up


def _row(
    measure: str, ours: list[float], bare: list[float], bar: float | None = None, goal: float | None = None
) -> Row:
    figure, baseline = (f"{median(each):.2f} ms ({min(each):.2f} to {max(each):.2f})" for each in (ours, bare))
    return Row(measure, figure, baseline, median(ours) / median(bare), bar=bar, goal=goal)


def _p99(act: Action, each: int, pause: float) -> float:
    """Return the 99th percentile of the milliseconds that each step takes."""
    ready = Barrier(_THREADS)
    times: list[int] = []

    def work() -> None:
        mine = []
        ready.wait()
        for _ in range(each):
            begin = perf_counter_ns()
            act()
            mine.append(perf_counter_ns() - begin)
            if pause:
                sleep(pause)
        times.extend(mine)

    threads = [Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    return times[len(times) * 99 // 100] / 1e6
