"""An application that takes 200 steps a second, whatever its endpoint does, and measures what they cost it.

It reads the name of each phase from its standard input, and says at the end, as JSON, what it saw. Phases whose name
begins with ``flushed`` are those in which it flushes all the time. Beside each step it takes one whose endpoint, its
argument, is always there, so that what is measured can be told from what else the machine does.
"""

import json
import statistics
import sys
import threading
from array import array
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Final

from opentelemetry.sdk.trace import TracerProvider

import failpath_otel

RATE: Final = 200
RUNS: Final = 4
"""Runs that are under way at a time."""

STEPS_OF_A_RUN: Final = 10
LARGE_EVERY: Final = 50
"""In the phase of the large ones, every so many steps one has metadata that make it larger than the endpoint takes."""

LARGE: Final = {f"text-{number}": "x" * 4_000 for number in range(6)}
TOO_LARGE: Final = 20_000
"""Bytes: more than anything here has, but for what is large."""

END: Final = "end"
LARGE_PHASE: Final = "flushed large"
OPTIONS: Final[dict[str, Any]] = {"max_queue_size": 100}
"""So few records in memory that what waits in an outage is in the journal, and nowhere else."""


def place(number: int) -> tuple[str, str]:
    """The run and the key of a step, by its number."""
    block, within = divmod(number, RUNS * STEPS_OF_A_RUN)
    return f"run-{block * RUNS + within % RUNS}", f"step-{within // RUNS}"


def resident() -> int:
    """Kilobytes of memory that this process has."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def centiles(seconds: "array[float]") -> list[float]:
    """The 50th and the 99th, in microseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return [cuts[49] * 1e6, cuts[98] * 1e6]


def main() -> None:
    """Takes steps until it is told to end."""
    failpath = failpath_otel.configure(tracer_provider=TracerProvider(), **OPTIONS)
    beside = failpath_otel.configure(endpoint=sys.argv[1], tracer_provider=TracerProvider(), **OPTIONS)
    phase = sys.stdin.readline().strip()
    costs = {phase: (array("d"), array("d"))}
    memory: dict[str, int] = {}

    def listen() -> None:
        nonlocal phase
        for line in sys.stdin:
            costs.setdefault(line.strip(), (array("d"), array("d")))
            phase = line.strip()

    def flush() -> None:
        while phase != END:
            if phase.startswith("flushed"):
                failpath.flush(1.0)
            sleep(0.01)

    for target in (listen, flush):
        threading.Thread(target=target, daemon=True).start()
    number = 0
    began = perf_counter()
    while (now := phase) != END:
        run_id, key = place(number)
        metadata = LARGE if now == LARGE_PHASE and number % LARGE_EVERY == 0 else {"number": number}
        # In turn one and the other is the first to come.
        for which, client in ((0, failpath), (1, beside))[:: 1 if number % 2 else -1]:
            run = client.run("stressed", run_id=run_id)
            before = perf_counter()
            run.step(key, lambda: None, metadata=metadata)
            costs[now][which].append(perf_counter() - before)
        number += 1
        if number % 20 == 0:
            memory[now] = max(memory.get(now, 0), resident())
        sleep(max(began + number / RATE - perf_counter(), 0))
    complete = failpath.flush(60) and beside.flush(60)
    stats = failpath.stats()
    said = {
        "steps": number,
        "complete": complete,
        "delivered": stats.delivered,
        "dropped": dict(stats.dropped),
        "memory": memory,
        "microseconds": {name: [centiles(each) for each in both] for name, both in costs.items() if both[0]},
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
