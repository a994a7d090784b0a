"""The time of ``import failpath_otel``, and what the servers use until they listen."""

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from bench.server import started
from bench.span import PROJECT_KEY
from bench.table import Row

_ROUNDS: Final = 20
_SERVERS: Final = 10
_OURS: Final = "import failpath_otel"
_SDK: Final = (
    "from opentelemetry.sdk.trace import TracerProvider; from opentelemetry.sdk.trace.export import BatchSpanProcessor"
)


def measure() -> list[Row]:
    """Measure import time in new interpreters, alternately, without the start of the interpreter.

    The first round compiles into a separate directory and does not count. Otherwise, with ``PYTHONDONTWRITEBYTECODE``,
    every round would compile this package, but not what pip has installed.
    """
    with TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        pairs = [(_milliseconds(_OURS, environment), _milliseconds(_SDK, environment)) for _ in range(_ROUNDS + 1)]
        gateway, local = (
            [_until_it_listens(command, environment) for _ in range(_SERVERS + 1)] for command in ("gateway", "local")
        )
    del pairs[0], gateway[0], local[0]
    ours, sdk = zip(*pairs, strict=True)
    ratio = median(mine / other for mine, other in pairs)
    figure, baseline = (f"{median(times):.0f} ms (min {min(times):.0f})" for times in (ours, sdk))
    return [
        Row("import, against the SDK's", figure, baseline, ratio, bar=1.4, goal=1.15),
        _row("gateway", gateway, bar=0.30, goal=0.20),
        _row("local", local),
    ]


def _row(command: str, seconds: list[float], bar: float | None = None, goal: float | None = None) -> Row:
    figure = f"{median(seconds):.2f} s of CPU; min {min(seconds):.2f}"
    return Row(f"import: {command}, until it listens", figure, value=median(seconds), unit=" s", bar=bar, goal=goal)


def _until_it_listens(command: str, environment: dict[str, str]) -> float:
    """Return the processor seconds of a server, the start of the interpreter included."""
    with TemporaryDirectory() as directory:
        options = ["--db", f"{directory}/local.db"] if command == "local" else []
        variables = {**environment, "FAILPATH_PROJECT_KEY": PROJECT_KEY, "FAILPATH_JOURNAL": directory}
        with started(command, *options, variables=variables) as server:
            return server.cpu_seconds()


def _milliseconds(statement: str, environment: dict[str, str]) -> float:
    code = f"import time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout) * 1000
