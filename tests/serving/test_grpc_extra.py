"""Where the extra is not installed: gRPC that is asked for is an error that names it, and else nothing is said."""

import sys

import pytest

from failpath_otel.errors import ConfigurationError
from failpath_otel.serving.grpc.beside import GrpcPort, GrpcSettings, and_grpc


@pytest.fixture
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize("port", [0, 4317])
def test_a_port_that_is_asked_for_names_the_extra(port: int) -> None:
    with pytest.raises(ConfigurationError, match=r'pip install "failpath-otel\[grpc\]"'):
        GrpcSettings(port).server("127.0.0.1", None, 1, lambda: False)


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize(("port", "default"), [(None, 4317), (None, None), ("off", 4317)])
def test_a_port_that_is_not_asked_for_is_not_served(port: GrpcPort, default: int | None) -> None:
    server = GrpcSettings(port, default).server("127.0.0.1", None, 1, lambda: False)
    assert server is None
    assert and_grpc(server) == ""
