"""Instructions of a step against those of a bare span: the figure to steer by, the same on a busy machine.

Counted by Valgrind (``bench/callgrind.py``), in a process for each row. ``INSTRUCTIONS="journal none"`` counts these
rows alone, and the bare span; the names are those in brackets.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import callgrind
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


def measure(sink: Sink) -> list[Row]:
    """Count the instructions of the calling thread, or where delivery is included, of all threads.

    A figure is the median of three sections of 250 steps, after a warm-up whose records have been delivered. They differ
    by some thousandths. Garbage collections are in it as they come.
    """
    if not callgrind.installed():
        return [Row("instructions", callgrind.INSTALL)]
    names = _selected(os.environ.get("INSTRUCTIONS", "").replace(",", " ").split())
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        counted = processes.map(lambda name: _count(_CASES[name], sink), names)
        figures = dict(zip(names, counted, strict=True))
    sink.take()
    return [_row(name, figures) for name in names]


def _selected(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in _CASES]
    if unknown:
        msg = f"INSTRUCTIONS has no such row: {', '.join(unknown)}; there are {', '.join(_CASES)}"
        raise BenchError(msg)
    wanted = {*names, *(_CASES[name].against for name in names)} or _CASES.keys()
    return [name for name in _CASES if name in wanted]


def _count(case: _Case, sink: Sink) -> float:
    arguments = [case.subject, sink.endpoint, *["delivered"] * case.delivered]
    sections, _ = callgrind.sections("bench.counted", arguments, all_threads=case.delivered)
    # Between the sections is what delivers their records.
    return median(sections[::2]) / STEPS / _THOUSAND


def _row(name: str, figures: dict[str, float]) -> Row:
    case = _CASES[name]
    figure, measure = f"{figures[name]:,.1f} thousand", f"instructions: {case.measure} ({name})"
    if case.against not in figures or case.against == name:
        return Row(measure, figure)
    baseline = figures[case.against]
    return Row(measure, figure, f"{baseline:,.1f}", figures[name] / baseline, bar=case.bar, goal=case.goal)
