"""Which tests `make test` runs: the fast ones, which start no process, and a handful that show the whole.

A test is in exactly one tier. What it takes says in which: fixtures that start a browser or a process put it there, and
so does a mark, where a test starts a process itself. A test without either is fast, and fails if it starts a process.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import pytest

Tier = Literal["fast", "process", "browser", "storm"]

TIERS: Final[dict[Tier, str]] = {
    "fast": "starts no process",
    "process": "starts a process: a server, or a program whose state, death or output is looked at",
    "browser": "needs Chromium",
    "storm": "starts many processes, and kills them: at a small size, unless its variable says otherwise",
}
MARKS: Final[dict[str, str]] = {
    **{name: says for name, says in TIERS.items() if name != "fast"},
    "whole": "`make test` runs it although it starts processes: it shows that the whole works",
    "forks(reason)": "a fast test that forks the process of the tests, because a fork is what it is about",
}
CHOICES: Final[dict[str, tuple[Tier, ...]]] = {
    "fast": ("fast",),
    "rest": ("process", "browser", "storm"),
    "all": ("fast", "process", "browser", "storm"),
    "storms": ("storm",),
}
"""What ``--tier`` can be, with the tiers that are run."""

_BY_FIXTURE: Final[dict[str, Tier]] = {
    "chromium": "browser",
    "browsing": "browser",
    "receiver": "process",
    "shared_receiver": "process",
    "shared_gateway": "process",
    "site": "process",
    "node": "process",
    "rotel": "process",
    "rotel_program": "process",
    "chain": "process",
    "backend": "process",
    "broker": "process",
    "child": "process",
}
"""The tier of a test that takes a fixture, or a fixture that takes it."""

_ASKS: Final = re.compile(
    rf"\bmark\.(?:{'|'.join(tier for tier in TIERS if tier != 'fast')})\b"
    rf"|\bdef \w+\([^)]*\b(?:{'|'.join(_BY_FIXTURE)})\b"
)

_STARTS: Final = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "tests.forge.start"}
)


def tier_of(item: pytest.Item) -> Tier:
    """Return the tier of a test: the last in the order of :data:`TIERS` of those that it asks for."""
    fixtures: Iterable[str] = getattr(item, "fixturenames", ())
    asked = {_BY_FIXTURE[name] for name in fixtures if name in _BY_FIXTURE}
    asked |= {tier for tier in TIERS if item.get_closest_marker(tier)}
    return max(asked, key=list(TIERS).index, default="fast")


@cache
def has_slow_tests(file: Path) -> bool:
    """Return whether a file looks as if it had tests that are not fast, by its text alone.

    Without the fast tests, only such files are imported: all of them take 20 s in each worker.
    """
    return _ASKS.search(file.read_text(encoding="utf-8")) is not None


class Selection:
    """The tests of ``--tier``, and what is said at the end of those that it left out. Registered as a plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._chosen: Final[str] = config.getoption("--tier")
        self._left_out: Counter[str] = Counter()
        self._run = 0

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        without_fast = "fast" not in CHOICES[self._chosen]
        is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
        return True if without_fast and is_test and not has_slow_tests(collection_path) else None

    # After `-k` and `-m`, so that what those leave out is not counted.
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept, left = [], []
        for item in items:
            tier = tier_of(item)
            if self._chosen == "fast" and tier != "fast" and not has_slow_tests(item.path):
                raise pytest.UsageError(f"{item.nodeid} is of the tier {tier}, and --tier rest would not look there")
            # `make test` runs these, and so the rest is without them.
            of_fast = tier == "fast" or (item.get_closest_marker("whole") and self._chosen in {"fast", "rest"})
            if ("fast" if of_fast else tier) in CHOICES[self._chosen]:
                kept.append(item)
            else:
                left.append(item)
                self._left_out[tier] += 1
        self._run = len(kept)
        if left:
            items[:] = kept
            config.hook.pytest_deselected(items=left)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:  # each worker of pytest-xdist collects all tests; the process that prints, none
            output["tiers"] = [self._run, dict(self._left_out)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if "tiers" in getattr(node, "workeroutput", {}):
            self._run, left_out = node.workeroutput["tiers"]
            self._left_out = Counter(left_out)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._left_out or self._chosen != "fast":
            return
        listed = ", ".join(f"{self._left_out[tier]} {tier}" for tier in TIERS if self._left_out[tier])
        if not self._run:
            terminalreporter.write_line(f"nothing that was asked for is in the tier `{self._chosen}`", red=True)
        terminalreporter.write_line(
            f"left out by --tier {self._chosen}: {self._left_out.total()} tests ({listed});"
            " `make test-all`, with the same ARGS, runs them too"
        )


class Guard:
    """Fails a fast test that starts a process, where it starts it. Registered as a plugin."""

    def __init__(self) -> None:
        self._item: pytest.Item | None = None
        self._started: str | None = None
        # For as long as the process lives: Python cannot take a hook back.
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _arguments: object) -> None:
        if event in _STARTS and self._item is not None:
            if event == "os.fork" and self._item.get_closest_marker("forks"):
                return
            self._started = f"a test that is not marked as one that starts a process (tests/tiers.py): {event}"
            raise AssertionError(self._started)

    def _watch(self, item: pytest.Item) -> None:
        self._started = None
        self._item = item if tier_of(item) == "fast" else None

    def _look(self) -> None:
        """Fail the test also where what called the hook has caught the exception."""
        self._item = None
        if self._started is not None:
            raise AssertionError(self._started)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Any:
        self._watch(item)
        try:
            return (yield)
        finally:
            self._look()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        self._watch(item)
        try:
            return (yield)
        finally:
            self._look()
