"""One global provider for all tests: frameworks ask OpenTelemetry for it, and it cannot be set twice."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tests.fault_server import FaultServer
from tests.presets.watching import Watched, service_provider, watching

Watch = Callable[[str], Watched]
_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    # What frameworks warn of, most while they are imported, is theirs.
    config.addinivalue_line("filterwarnings", "ignore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.process)  # frameworks start processes


@pytest.fixture(autouse=True)
def _no_event_loop_is_left() -> Iterator[None]:
    """A loop that a framework has made for synchronous code is closed, and not found by a garbage collection later."""
    asyncio.set_event_loop(None)  # so that asking for one makes none
    yield
    with suppress(RuntimeError):  # there is none
        asyncio.get_event_loop_policy().get_event_loop().close()
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def provider() -> TracerProvider:
    provider = service_provider()
    trace.set_tracer_provider(provider)
    return provider


@pytest.fixture
def watch(server: FaultServer, provider: TracerProvider) -> Iterator[Watch]:
    """Watches what becomes of the spans of the global provider by rules."""
    with ExitStack() as stack:
        yield lambda rules: stack.enter_context(watching(server, rules, provider))
