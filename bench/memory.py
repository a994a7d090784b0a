"""The memory that steps take while their records cannot be delivered."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Final

from opentelemetry.sdk.trace import TracerProvider

from bench.sink import BenchError, refusing_url
from bench.span import PROJECT_KEY, step_of
from bench.table import Row
from failpath_otel import configure

_ROUNDS: Final = 3
_STEPS: Final = 100_000
_WARM_UP: Final = 500
_MEGABYTE: Final = 1_000_000
_STATUS: Final = Path("/proc/self/status")


def measure() -> list[Row]:
    """Measure the growth of the resident set of a fresh process over 100,000 undelivered steps in a row.

    The endpoint is a port of this host that refuses every connection, after a warm-up of some hundred steps. The peak,
    which counts, and the end, when the queue is full, are ``VmHWM`` and ``VmRSS`` of ``/proc/self/status``; without
    that file, both are the peak of ``getrusage``. There are several rounds.
    """
    rounds = [_in_fresh_process() for _ in range(_ROUNDS)]
    peak, end, before = (median(grown[name] for grown in rounds) for name in ("peak", "end", "before"))
    return [
        Row(
            f"memory: growth, {_STEPS:,} steps, dead endpoint",
            f"peak {peak:.1f} MB (max {max(grown['peak'] for grown in rounds):.1f}), end {end:.1f} MB",
            f"{before:.0f} MB before",
            value=peak,
            unit=" MB",
            bar=20,
            goal=8,
        )
    ]


def _in_fresh_process() -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "bench.memory"], check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"the process whose memory is measured has failed:\n{done.stderr}"
        raise BenchError(msg)
    grown: dict[str, float] = json.loads(done.stdout)
    return grown


def _grow() -> dict[str, float]:
    """Make the steps, and return the growth in megabytes."""
    with refusing_url() as endpoint:
        client = configure(
            project_key=PROJECT_KEY, endpoint=endpoint, tracer_provider=TracerProvider(shutdown_on_exit=False)
        )
        step = step_of(client)
        for _ in range(_WARM_UP):
            step()
        before, _ = _resident()
        for _ in range(_STEPS):
            step()
        end, peak = _resident()
        stats = client.stats()
        client.shutdown(0)
    if stats.delivered or stats.waiting + sum(stats.dropped.values()) != 2 * (_STEPS + _WARM_UP):
        msg = f"records are not accounted for: {stats}"
        raise BenchError(msg)
    return {
        "before": before / _MEGABYTE,
        "peak": (peak - before) / _MEGABYTE,
        "end": (end - before) / _MEGABYTE,
    }


def _resident() -> tuple[int, int]:
    """Return the resident set in bytes: now, and the highest since the process began."""
    if not _STATUS.exists():
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
        return highest, highest
    # Not from `resource` here, where the process that started this one counts too.
    fields = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines())
    now, highest = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


if __name__ == "__main__":
    print(json.dumps(_grow()))
