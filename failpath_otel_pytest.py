"""The pytest plugin of failpath-otel: the fixture ``failpath``.

A module beside the package and not inside it: pytest imports it at the start of every test run, and an import of the
package takes a while (decision 0005). PYTEST_DONT_REWRITE
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from failpath_otel.testing import MockFailpath


@pytest.fixture
def failpath() -> "Iterator[MockFailpath]":
    """Provide a :class:`failpath_otel.testing.MockFailpath`, a fresh one for each test.

    Example:
        >>> def test_an_order_charges_the_card(failpath):
        ...     failpath.run("checkout", run_id="order-17").step("charge-card", lambda: "ch_1")
        ...     assert [event.status for event in failpath.events] == ["running", "success"]
    """
    from failpath_otel.testing import MockFailpath  # noqa: PLC0415 - imported on use (decision 0005)

    mock = MockFailpath()
    yield mock
    mock.shutdown(0)
