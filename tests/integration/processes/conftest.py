"""One receiver for all tests of a session, and a site for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes.site import Site, open_site
from tests.receiver import Receiver, start_receiver


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes") / "failpath.db"


@pytest.fixture(scope="session")
def receiver(database: Path) -> Iterator[Receiver]:
    with start_receiver(database) as running:
        yield running


@pytest.fixture
def site(receiver: Receiver, database: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with open_site(receiver, database, tmp_path, request.node.name) as opened:
        yield opened
