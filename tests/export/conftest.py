"""What the tests of the export half share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failpath_otel.spans.processor import FailpathSpanProcessor
from tests.fault_server import FaultServer

KEY = "fp_project_0123456789_secret"


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
