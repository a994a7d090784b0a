from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.page import Page, opened_page
from tests.receiver import Receiver, start_receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with an empty database."""
    with start_receiver(tmp_path / "local.db") as started:
        yield started


@pytest.fixture(scope="session")
def shared_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver for tests that store nothing, or nothing that another test would see."""
    with start_receiver(tmp_path_factory.mktemp("receiver") / "local.db") as started:
        yield started


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The API of the page over an empty database."""
    with opened_page(tmp_path / "page.db") as opened:
        yield opened
