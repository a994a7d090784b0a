"""One gateway, one receiver and one collector for all tests of a session that leave them as they are."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_server import fault_server
from tests.gateway.gateways import start_gateway
from tests.integration.peers.node import Node, find_node
from tests.integration.peers.records import Chain
from tests.integration.peers.rotel import Rotel, find_rotel, start_rotel
from tests.receiver import Receiver, start_receiver


@pytest.fixture
def run_id() -> str:
    """By which a test finds its own among all that was sent."""
    return f"run-{uuid.uuid4()}"


@pytest.fixture(scope="session")
def node() -> Node:
    return find_node()


@pytest.fixture(scope="session")
def rotel_program() -> Path:
    return find_rotel()


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A gateway with a journal, before a Failpath that takes everything."""
    with (
        fault_server() as failpath,
        start_gateway(failpath.url, tmp_path_factory.mktemp("gateway") / "journal", grpc="0") as gateway,
    ):
        yield Chain(gateway, failpath)


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with start_receiver(tmp_path_factory.mktemp("receiver") / "local.db") as started:
        yield started


@pytest.fixture(scope="session")
def rotel(rotel_program: Path, chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotel]:
    """Between whoever sends and the gateway of :func:`chain`."""
    with start_rotel(rotel_program, chain.url, tmp_path_factory.mktemp("rotel")) as started:
        yield started
