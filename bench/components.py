"""Instructions of a step by component: the modules, or the functions, that they are spent in."""

import json
import os
import subprocess
import sys
from collections import Counter
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from bench import callgrind
from bench.marked import EMPTY, STEPS
from bench.marks import END
from bench.sink import BenchError, Sink
from bench.table import Row

_LEAST: Final = 0.01
"""The share of a step from which a component has a row of its own."""

_MODULE: Final = "bench.marked"
_PROGRAM: Final = "the program itself"
_THOUSAND: Final = 1_000


def measure(case: str, sink: Sink, *, by_function: bool = False) -> list[Row]:
    """Count the instructions of some steps between the starts and ends of Python functions.

    Every function of this package and of OpenTelemetry has a mark at its start and its end (``bench/marks.py``).
    Between two marks, the instructions belong to the function that was entered last and has not ended; what a mark
    costs is subtracted. Functions in C, of the standard library and of the interpreter count to their callers. Garbage
    collections are left out. The sum is about a twentieth above what the step costs without the marks, and short
    functions have most of that.
    """
    sections, notes = _marked(case, sink)
    ends = sections[: EMPTY - 1] + sections[1 - EMPTY :]
    empty = median(ends)
    components: Counter[str] = Counter()
    entered = [_PROGRAM]
    # The first of these sections begins with the last of the marks in a row.
    for note, section in zip(notes[EMPTY:-EMPTY], sections[EMPTY : 1 - EMPTY], strict=True):
        if note == END:
            entered.pop()
        else:
            module, _, function = note.partition(" ")
            entered.append(f"{module.removeprefix('failpath_otel.')} {function if by_function else ''}".strip())
        components[entered[-1]] += round(section - empty)
    return _rows(f"instructions: of a step ({case})", components)


def _marked(case: str, sink: Sink) -> tuple[list[int], list[str]]:
    """Return the instructions of the sections, and the text of the mark that begins each, and of the last mark."""
    with TemporaryDirectory() as compiled:
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        # To compile all modules below Valgrind would take a minute.
        subprocess.run([sys.executable, "-m", _MODULE, case, sink.endpoint], check=True, stdout=-3, env=variables)
        sections, printed = callgrind.sections(_MODULE, [case, sink.endpoint], variables)
    notes: list[str] = json.loads(printed)
    if len(sections) != len(notes) - 1:
        msg = f"{len(notes)} marks, but {len(sections)} sections between them: another thread ran"
        raise BenchError(msg)
    return sections, notes


def _rows(measure: str, components: Counter[str]) -> list[Row]:
    total = sum(components.values())
    large = {name: spent for name, spent in components.most_common() if spent >= total * _LEAST}
    small = total - sum(large.values())
    return [
        Row(f"{measure}, in all", f"{total / STEPS / _THOUSAND:,.1f} thousand"),
        *(
            Row(f"{measure}: {name}", f"{spent / STEPS / _THOUSAND:,.1f} thousand", ratio=spent / total)
            for name, spent in [*large.items(), (f"{len(components) - len(large)} others", small)]
        ),
    ]
