"""The pytest plugin of failpath-otel: the fixture ``failpath``.

A module beside the package and not inside of it, because pytest imports it at the start of every test run, and an
import of the package takes a while. PYTEST_DONT_REWRITE
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from failpath_otel.testing import MockFailpath


@pytest.fixture
def failpath() -> "Iterator[MockFailpath]":
    """A client that keeps its records in memory, a fresh one for each test: ``failpath.events``."""
    from failpath_otel.testing import MockFailpath  # noqa: PLC0415 - only for tests that want it

    mock = MockFailpath()
    yield mock
    mock.shutdown(0)
