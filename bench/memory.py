"""The memory that steps take while their records cannot be delivered."""

import gc
import json
import resource
import subprocess
import sys
import tracemalloc
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from pathlib import Path
from statistics import median
from typing import Final

from opentelemetry.sdk.trace import TracerProvider

from bench.sink import BenchError, Sink, refusing_url
from bench.span import PROJECT_KEY, step_of
from bench.table import Row
from failpath_otel import configure

_ROUNDS: Final = 3
_STEPS: Final = 100_000
_WARM_UP: Final = 500
_OPEN: Final = 10_000
_FLUSH_SECONDS: Final = 30.0
_KILOBYTE: Final = 1_000
_MEGABYTE: Final = 1_000_000
_STATUS: Final = Path("/proc/self/status")


def measure(sink: Sink) -> list[Row]:
    """Measure the growth of a fresh process: over 100,000 undelivered steps in a row, and by steps that are open.

    The first is that of the resident set.
    The endpoint is a port of this host that refuses every connection, after a warm-up of some hundred steps. The peak,
    which counts, and the end, when the queue is full, are ``VmHWM`` and ``VmRSS`` of ``/proc/self/status``; without
    that file, both are the peak of ``getrusage``. There are several rounds. For the second, ``tracemalloc`` has
    the bytes that Python has allocated for 10,000 steps that have begun, each in a context of its own, whose
    ``running`` records have been delivered.
    """
    rounds = [_in_fresh_process() for _ in range(_ROUNDS)]
    host, none = (_in_fresh_process(sink.endpoint, kind)["open"] / _KILOBYTE for kind in ("host", "none"))
    sink.take()
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
        ),
        Row("memory: an open step", f"{host:.1f} KB", value=host, unit=" KB"),
        Row("memory: an open step, no OpenTelemetry", f"{none:.1f} KB", value=none, unit=" KB", bar=2, goal=1),
    ]


def _in_fresh_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", *arguments], check=False, capture_output=True, text=True
    )
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


def _hold(endpoint: str, kind: str) -> dict[str, float]:
    """Begin the steps, and return the bytes that each of them holds."""
    host = TracerProvider(shutdown_on_exit=False) if kind == "host" else None
    client = configure(project_key=PROJECT_KEY, endpoint=endpoint, tracer_provider=host)
    run = client.run("checkout", run_id="req_7f1d0c1b")

    def begin(context: Context) -> AbstractContextManager[object]:
        block = run.step("charge-card", metadata={"cart_id": "cart_1842", "amount": 4999})
        context.run(block.__enter__)
        return block

    def end(blocks: list[AbstractContextManager[object]]) -> None:
        for context, block in zip(contexts, blocks, strict=False):
            context.run(block.__exit__, None, None, None)
        if not client.flush(_FLUSH_SECONDS):
            msg = f"records were lost: {client.stats()}"
            raise BenchError(msg)

    contexts = [copy_context() for _ in range(_OPEN)]
    end([begin(context) for context in contexts[:_WARM_UP]])
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    blocks = [begin(context) for context in contexts]
    client.flush(_FLUSH_SECONDS)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    end(blocks)
    client.shutdown()
    return {"open": (after - before) / _OPEN}


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
    print(json.dumps(_hold(*sys.argv[1:]) if sys.argv[1:] else _grow()))
