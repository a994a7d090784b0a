from collections.abc import Iterator

import pytest

from tests.fault_server import fault_server
from tests.gateway.gateways import Gateway, start_gateway


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for tests that send nothing, or nothing that another test would see."""
    with (
        fault_server() as failpath,
        start_gateway(failpath.url, tmp_path_factory.mktemp("gateway") / "journal") as gateway,
    ):
        yield gateway
