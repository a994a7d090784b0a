"""Figures of the last release, kept in the repository, and how those of a tree compare with them.

A figure is the instructions of a step as a multiple of those of a bare span that the same run counts. Pythons of one
version that were built in other ways differ in it by up to a tenth, and so are not compared.
"""

import hashlib
import json
import platform
import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from opentelemetry.sdk.version import __version__ as sdk_version

from bench.sink import BenchError
from failpath_otel._version import __version__ as package_version

STORED: Final = Path(__file__).with_suffix(".json")
BASELINE: Final = "bare"
TOLERANCE: Final = 0.05
"""How much more than at the last release a step may take."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted, and with what."""

    package: str
    python: str
    build: str
    """The compiler that made it, and a digest of its options."""
    sdk: str
    machine: str
    instructions: dict[str, int]
    """Of a step, or a bare span, by the names of ``INSTRUCTIONS``."""

    def key(self) -> str:
        """Return what figures have in common that can be compared."""
        minor = ".".join(self.python.split(".")[:2])
        return f"Python {minor} ({self.build}), OpenTelemetry SDK {self.sdk}, {self.machine}"

    def multiples(self) -> dict[str, float]:
        """Return each figure but the baseline as a multiple of the baseline."""
        baseline = self.instructions[BASELINE]
        return {name: count / baseline for name, count in self.instructions.items() if name != BASELINE}


@dataclass(frozen=True, slots=True)
class Change:
    """One figure, then and now."""

    name: str
    then: float
    now: float

    @property
    def change(self) -> float:
        """By which part it has grown; negative where it has fallen."""
        return self.now / self.then - 1

    @property
    def too_much(self) -> bool:
        """Whether it has grown beyond what is tolerated."""
        return self.change > TOLERANCE

    def __str__(self) -> str:
        verdict = f"  MORE THAN {TOLERANCE:.0%}" if self.too_much else ""
        return f"{self.name:16} {self.then:6.3f} -> {self.now:6.3f}  {self.change:+7.1%}{verdict}"


Count = Callable[[Iterable[str]], dict[str, int]]
"""Counts the rows of these names, or where there are none those that ``INSTRUCTIONS`` names."""


def of_this_process() -> Figures:
    """Return the Python, the SDK and the package of this process, with no counts."""
    return Figures(
        package=package_version,
        python=platform.python_version(),
        build=f"{platform.python_compiler()}, {_digest(sysconfig.get_config_var('CONFIG_ARGS') or '')}",
        sdk=sdk_version,
        machine=platform.machine(),
        instructions={},
    )


def _digest(options: str) -> str:
    """Return the same for the same options, wherever what was built is installed."""
    kept = " ".join(option for option in shlex.split(options) if "/" not in option)
    return hashlib.sha256(kept.encode()).hexdigest()[:8]


def stored(path: Path = STORED) -> dict[str, Figures]:
    """Return the stored figures by their keys."""
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Figures])


def store(figures: Figures, path: Path = STORED) -> None:
    """Put figures in the place of those with the same key.

    Raises:
        BenchError: fewer rows were counted than are stored.
    """
    every = stored(path)
    before = every.get(figures.key())
    # Rows of two runs do not go together: each has its own baseline.
    if before is not None and before.instructions.keys() > figures.instructions.keys():
        missing = sorted(before.instructions.keys() - figures.instructions.keys())
        msg = f"not stored: {', '.join(missing)} would be lost. Count all rows that are stored"
        raise BenchError(msg)
    every[figures.key()] = figures
    text = json.dumps(msgspec.to_builtins(dict(sorted(every.items()))), indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def compare(then: Figures, now: Figures) -> list[Change]:
    """Return the change of each figure that both have."""
    before, after = then.multiples(), now.multiples()
    return [Change(name, before[name], after[name]) for name in before if name in after]


def main(what: str, count: Count, here: Figures, path: Path = STORED) -> int:
    """Print figures as JSON, store them, or compare them with the stored ones; return the exit code.

    *here* has what is counted with, and no counts. Compared are the rows that are stored, and only these are counted.

    Raises:
        BenchError: a row that is stored is counted no more.
    """
    if what == "--compare":
        return _compare(count, here, path)
    now = msgspec.structs.replace(here, instructions=count(()))
    if what == "--store":
        store(now, path)
        print(f"stored for {now.key()}")
    else:
        print(json.dumps(msgspec.to_builtins(now), indent=2))
    return 0


def _compare(count: Count, here: Figures, path: Path) -> int:
    every = stored(path)
    then = every.get(here.key())
    if then is None:
        print(f"bench: nothing was compared: there are no stored figures for {here.key()}", file=sys.stderr)
        print(f"Stored are: {'; '.join(every) or 'none'}.", file=sys.stderr)
        print("`python -m bench instructions --store` on the tree of the last release stores some.", file=sys.stderr)
        return 2
    now = msgspec.structs.replace(here, instructions=count(then.instructions))
    if missing := then.instructions.keys() - now.instructions.keys():
        msg = f"not compared: there is no row {', '.join(sorted(missing))} any more. Store figures without"
        raise BenchError(msg)
    print(f"{now.key()}: spans that a step is worth, at {then.package} and now")
    changes = compare(then, now)
    for change in changes:
        print(change)
    return int(any(change.too_much for change in changes))
