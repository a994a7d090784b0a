"""What holds for all tests, and what many of them take."""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import get_current_span

from failpath_otel.options.options import OPTIONS
from failpath_otel.spans.processor import FailpathSpanProcessor
from tests.fault_server import FaultServer, fault_server
from tests.keys import KEY


def pytest_configure() -> None:
    """Chooses the seed of the storm of kills once for all workers, so that it stands in the log of every run."""
    os.environ.setdefault("KILL_STORM_SEED", str(random.SystemRandom().randrange(10**9)))


def pytest_report_header() -> str:
    return f"storm of kills: KILL_STORM_SEED={os.environ['KILL_STORM_SEED']} repeats it"


@pytest.fixture(autouse=True)
def _no_span_stays_current() -> Iterator[None]:
    """A test that leaves a span as the current one would make it the parent of the spans of later tests."""
    yield
    left = get_current_span().get_span_context()
    assert not left.is_valid, f"the span {left.span_id:016x} is still the current one"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No option is set by whoever starts the tests; journals are in a directory of each test's own."""
    for option in OPTIONS:
        for variable in (option.variable, option.synonym):
            if variable is not None:
                monkeypatch.delenv(variable, raising=False)
    # The second for programs that get none of our variables.
    monkeypatch.setenv("FAILPATH_JOURNAL", str(tmp_path_factory.mktemp("journal")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


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
