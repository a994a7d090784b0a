"""What holds for all tests, and what many of them take."""

import gc
import itertools
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from opentelemetry.trace import get_current_span

from failpath_otel.options.options import OPTIONS
from failpath_otel.report import logger
from failpath_otel.spans.processor import FailpathSpanProcessor
from tests import whole_locks
from tests.fault_server import FaultServer, fault_server
from tests.forge import REAL
from tests.forge_server import MEASURED
from tests.keys import KEY
from tests.platforms import register
from tests.tiers import CHOICES, MARKS, Guard, Selection


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier", choices=CHOICES, default="all", help="which tests are run: see tests/tiers.py (default: %(default)s)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the tiers, and chooses the seed of the storms for all workers, so that it stands in the log."""
    whole_locks.put_in()
    for mark, says in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {says}")
    config.pluginmanager.register(Selection(config))
    register(config)
    # Before the tests are imported, which ask for it. All examples are for the longer runs.
    busy = [hypothesis.HealthCheck.too_slow]  # which is about the machine
    hypothesis.settings.register_profile("full", suppress_health_check=busy)
    hypothesis.settings.register_profile("fast", max_examples=30, suppress_health_check=busy)
    few = config.getoption("--tier") == "fast" or "FLOORS" in os.environ
    hypothesis.settings.load_profile("fast" if few else "full")
    # Times the examples of each property that has a number of its own. Each run takes others.
    os.environ.setdefault("PROPERTIES", "0.2" if "FLOORS" in os.environ else "0.3" if few else "1")
    if getattr(config.option, "cov_source", None):
        os.environ[MEASURED] = str(config.rootpath)
    else:
        # Setting a trace function is audited too: with a hook in Python, threads that set one at the same time,
        # as coverage.py has them do, get in each other's way.
        config.pluginmanager.register(Guard())
    os.environ.setdefault("KILL_STORM_SEED", str(random.SystemRandom().randrange(10**9)))


def pytest_collection_finish() -> None:
    """Takes what all tests share out of the garbage collector's sight: hundreds of tests have it look at everything."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"storm of kills: KILL_STORM_SEED={os.environ['KILL_STORM_SEED']} repeats it"


@pytest.fixture(autouse=True)
def _no_span_stays_current() -> Iterator[None]:
    """A test that leaves a span as the current one would make it the parent of the spans of later tests."""
    yield
    left = get_current_span().get_span_context()
    assert not left.is_valid, f"the span {left.span_id:016x} is still the current one"


@pytest.fixture(autouse=True)
def _trace_function_stays() -> Iterator[None]:
    """What measures coverage goes on after a test that has used its place, or has run out of stack in it."""
    before = sys.gettrace()
    yield
    if sys.gettrace() is not before:
        sys.settrace(before)


@pytest.fixture(scope="session")
def _own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One directory after another. Not by ``mktemp``, which looks through all that there are for the next number."""
    base = tmp_path_factory.mktemp("own")

    def directories() -> Iterator[Path]:
        for number in itertools.count():
            directory = base / str(number)
            for name in ("journal", "state"):
                (directory / name).mkdir(parents=True)
            yield directory

    return directories()


class _LeftByOtherTests(logging.Filter):
    """Drops what pipelines of earlier tests log when they give up, a while after these: no other test has caused it."""

    def __init__(self, own: Path) -> None:
        super().__init__()
        self._own = own

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_left = "records wait in " in text and f"{self._own.parent}{os.sep}" in text
        return not is_left or f"{self._own}{os.sep}" in text


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, _own_directories: Iterator[Path]) -> Iterator[None]:
    """No option is set by whoever starts the tests; journals are in a directory of each test's own."""
    for option in OPTIONS:
        for variable in (option.variable, option.synonym):
            if variable is not None:
                monkeypatch.delenv(variable, raising=False)
    # The second for programs that get none of our variables.
    own = next(_own_directories)
    monkeypatch.setenv("FAILPATH_JOURNAL", str(own / "journal"))
    monkeypatch.setenv("XDG_STATE_HOME", str(own / "state"))
    left = _LeftByOtherTests(own)
    logger.addFilter(left)
    yield
    logger.removeFilter(left)


@pytest.fixture
def real_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program of a test is started by a new interpreter: for tests about imports and their order."""
    monkeypatch.setenv(REAL, "1")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that accepts everything until a test gives it another script."""
    with fault_server() as running:
        yield running


@pytest.fixture
def new_processor() -> Iterator[Callable[..., FailpathSpanProcessor]]:
    """Makes processors that are closed at the end, so that nothing waits for them when the tests end."""
    made: list[FailpathSpanProcessor] = []

    def new(endpoint: str, **options: Any) -> FailpathSpanProcessor:
        made.append(FailpathSpanProcessor(project_key=KEY, endpoint=endpoint, **options))
        return made[-1]

    yield new
    for processor in made:
        processor._reporter.close(0)


@pytest.fixture
def processor(server: FaultServer, new_processor: Callable[..., FailpathSpanProcessor]) -> FailpathSpanProcessor:
    return new_processor(server.url)
