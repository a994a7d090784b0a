"""One run of each program for all tests: each takes a second or so."""

from collections.abc import Callable, Iterator

import pytest

from tests.fault_server import answer, fault_server
from tests.neighbours.setups import SETUPS
from tests.neighbours.story import Story, tell

Stories = Callable[[str, str], Story]


@pytest.fixture(autouse=True)
def _imports_in_order(real_starts: None) -> None:
    """What is imported first, and what it changes in others, is what these are about."""


@pytest.fixture(scope="session")
def stories() -> Iterator[Stories]:
    """The story of a set-up's program in a given order."""
    told: dict[tuple[str, str], Story] = {}
    with fault_server(answer(200, b"in stock")) as upstream:

        def story(name: str, order: str) -> Story:
            if (name, order) not in told:
                told[name, order] = tell(SETUPS[name], order, upstream.url)
            return told[name, order]

        yield story
