"""One receiver for all tests of a session, a site for each test, and an order that no other test has."""

import uuid

import pytest

from tests.integration.processes.conftest import database as database
from tests.integration.processes.conftest import receiver as receiver
from tests.integration.processes.conftest import site as site


@pytest.fixture
def order() -> str:
    return f"order-{uuid.uuid4().hex[:12]}"
