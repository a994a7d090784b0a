"""Measures what a step costs, and what the local receiver and the gateway can take: ``python -m bench [NAME …]``.

The names are ``instructions``, ``caller``, ``cpu``, ``threads``, ``latency``, ``memory``, ``import``, ``rules``,
``texts``, ``ingest``, ``list``, ``gateway`` and ``fleet``; with none, all are measured. ``PYTHONPATH=tree`` measures
the package of another tree.

``python -m bench instructions --json`` prints the instructions of each case as JSON, ``--compare`` holds them against
those of the last release, which ``bench/figures.json`` has, and ``--store`` puts them there.

Every figure stands beside its baseline, measured in turns with it in the same run. A bar that is missed is printed and
is no failure of this program; records that were lost are, and with ``--compare`` a step that takes 5 % more (status 1),
or that there is nothing to compare with (status 2).
"""

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final

from opentelemetry.sdk.version import __version__ as sdk_version

from bench import (
    caller,
    cpu,
    figures,
    fleet,
    gateway,
    importing,
    ingest,
    instructions,
    latency,
    listing,
    memory,
    rules,
    texts,
    threads,
)
from bench.sink import BenchError, Sink
from bench.table import Row, show
from bench.tree import measure_there, other_tree

_PARTS: Final[dict[str, Callable[[Sink], list[Row]]]] = {
    "instructions": instructions.measure,
    "caller": caller.measure,
    "cpu": cpu.measure,
    "threads": threads.measure,
    "latency": latency.measure,
    "memory": memory.measure,
    "import": lambda _: importing.measure(),
    "rules": rules.measure,
    "texts": lambda _: texts.measure(),
    "ingest": lambda _: ingest.measure(),
    "list": lambda _: listing.measure(),
    "gateway": gateway.measure,
    "fleet": lambda _: fleet.measure(),
}


_FIGURES: Final = ("--json", "--compare", "--store")


def main(arguments: list[str]) -> int:
    """Run the named parts, print the table, and return the exit code."""
    names = [argument for argument in arguments if argument not in _FIGURES]
    asked = [argument for argument in arguments if argument in _FIGURES]
    if asked and (names != ["instructions"] or len(asked) > 1):
        print(f"of {', '.join(_FIGURES)} one can be given, after instructions alone", file=sys.stderr)
        return 2
    unknown = [name for name in names if name not in _PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(_PARTS)}", file=sys.stderr)
        return 2
    if (tree := other_tree()) is not None:
        print(f"measuring {tree}", file=sys.stderr, flush=True)
        return measure_there(tree, arguments)
    # What the environment says about exporters, samplers or proxies would be measured too.
    for name in list(os.environ):
        if name.startswith(("OTEL_", "FAILPATH_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    rows: list[Row] = []
    try:
        with Sink() as sink, TemporaryDirectory() as journal:
            os.environ["FAILPATH_JOURNAL"] = journal
            if asked:
                return figures.main(asked[0], partial(instructions.count, sink), figures.of_this_process())
            for name in names or _PARTS:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                rows += _PARTS[name](sink)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(show(rows))
    print(
        f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; ",
        end="",
    )
    print(f"OpenTelemetry {sdk_version}. Times are medians, ratios medians within a round.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
