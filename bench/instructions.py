"""Instructions of a step against those of a bare span: the figure to steer by, the same on a busy machine.

Counted by Valgrind (``bench/callgrind.py``), in a process for each row. ``INSTRUCTIONS="journal none"`` counts these
rows alone, and what they are compared with; the names are those in brackets, ``components`` and ``none-components``,
which are what a step with and without a host's provider is made of by module, and ``functions`` and ``none-functions``,
which are the same by function.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import callgrind, components
from bench.counted import STEPS
from bench.sink import BenchError, Sink
from bench.table import Row

_THOUSAND: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Case:
    """One row: the case in ``bench/counted.py``, whether delivery counts, and its baseline among the other rows."""

    measure: str
    subject: str
    delivered: bool = False
    against: str = "bare"
    bar: float | None = None
    goal: float | None = None


_CASES: Final = {
    "bare": _Case("bare span", "bare"),
    "journal": _Case("step", "journal", bar=1.18, goal=1.10),
    "memory": _Case("step, in memory alone", "memory", bar=1.15, goal=1.06),
    "none": _Case("step, no OpenTelemetry", "none", bar=0.46, goal=0.40),
    "none-memory": _Case("step, no OpenTelemetry, in memory alone", "none-memory"),
    "failing": _Case("step that fails", "failing"),
    "none-failing": _Case("step that fails, no OpenTelemetry", "none-failing"),
    "block": _Case("step, a with block", "block"),
    "none-block": _Case("step, a with block, no OpenTelemetry", "none-block"),
    "otlp": _Case("step, OTLP only client", "otlp"),
    "by-otlp": _Case("span by OTLP, delivery included", "by-otlp", delivered=True),
    "delivered": _Case("step, delivery included, against OTLP", "journal", delivered=True, against="by-otlp"),
    "none-delivered": _Case(
        "step, delivery included, no OpenTelemetry, against OTLP", "none", delivered=True, against="by-otlp"
    ),
}

_COMPONENTS: Final[dict[str, Callable[[Sink], list[Row]]]] = {
    "components": lambda sink: components.measure("journal", sink),
    "none-components": lambda sink: components.measure("none", sink),
    "functions": lambda sink: components.measure("journal", sink, by_function=True),
    "none-functions": lambda sink: components.measure("none", sink, by_function=True),
}


def measure(sink: Sink) -> list[Row]:
    """Count the instructions of the calling thread, or where delivery is included, of all threads.

    A figure is the median of three sections of 250 steps, after a warm-up whose records have been delivered. It
    comes again within some thousandths. Garbage collections are in it as they come.
    """
    if not callgrind.installed():
        return [Row("instructions", callgrind.INSTALL)]
    names = _selected(_asked())
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        parts = [processes.submit(part, sink) for name, part in _COMPONENTS.items() if name in names]
        counted = _counted(names, sink, processes)
    sink.take()  # the pool has ended, so that all of it has come
    return [*(_row(name, counted) for name in counted), *(row for part in parts for row in part.result())]


def count(sink: Sink, rows: Iterable[str] = ()) -> dict[str, int]:
    """Count the instructions of one step in each of these cases, or of those that ``INSTRUCTIONS`` names, by its name.

    Raises:
        BenchError: there is no Valgrind, or a case has failed.
    """
    if not callgrind.installed():
        raise BenchError(callgrind.INSTALL)
    names = {"bare", *(tuple(rows) or _selected(_asked()))}
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        counted = _counted(names, sink, processes)
    sink.take()
    return {name: round(instructions) for name, instructions in counted.items()}


def _counted(names: set[str], sink: Sink, processes: ThreadPoolExecutor) -> dict[str, float]:
    counts = {name: processes.submit(_count, case, sink) for name, case in _CASES.items() if name in names}
    return {name: counted.result() for name, counted in counts.items()}


def _asked() -> list[str]:
    return os.environ.get("INSTRUCTIONS", "").replace(",", " ").split()


def _selected(names: Sequence[str]) -> set[str]:
    every = [*_CASES, *_COMPONENTS]
    unknown = [name for name in names if name not in every]
    if unknown:
        msg = f"INSTRUCTIONS has no such row: {', '.join(unknown)}; there are {', '.join(every)}"
        raise BenchError(msg)
    if not names:
        return {*_CASES, "components", "none-components"}
    return {*names, *(_CASES[name].against for name in names if name in _CASES)}


def _count(case: _Case, sink: Sink) -> float:
    arguments = [case.subject, sink.endpoint, *["delivered"] * case.delivered]
    sections, _ = callgrind.sections("bench.counted", arguments, os.environ, all_threads=case.delivered)
    # Between the sections is what delivers their records.
    return median(sections[::2]) / STEPS


def _row(name: str, figures: dict[str, float]) -> Row:
    case = _CASES[name]
    figure, measure = f"{figures[name] / _THOUSAND:,.1f} thousand", f"instructions: {case.measure} ({name})"
    if case.against not in figures or case.against == name:
        return Row(measure, figure)
    baseline = figures[case.against]
    return Row(measure, figure, f"{baseline / _THOUSAND:,.1f}", figures[name] / baseline, bar=case.bar, goal=case.goal)
