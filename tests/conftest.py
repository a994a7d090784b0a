"""What holds for all tests."""

from collections.abc import Iterator

import pytest
from opentelemetry.trace import get_current_span


@pytest.fixture(autouse=True)
def _no_span_stays_current() -> Iterator[None]:
    """A test that leaves a span as the current one would make it the parent of the spans of later tests."""
    yield
    left = get_current_span().get_span_context()
    assert not left.is_valid, f"the span {left.span_id:016x} is still the current one"
