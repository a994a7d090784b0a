"""A gateway with TLS, by HTTP and by gRPC: senders that show a certificate of the right authority are let in."""

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fault_server import fault_server
from tests.gateway.gateways import Gateway, start_gateway
from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.gateway.test_bad_input import resident
from tests.grpc_client import GrpcClient, Reply, start_grpc_client
from tests.serving.tls_files import TlsFiles, write_tls_files
from tests.spans.foreign import a_span

pytestmark = pytest.mark.process

STEP = protobuf_of([a_span()])


@pytest.fixture(scope="module")
def client() -> Iterator[GrpcClient]:
    with start_grpc_client() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return write_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(files: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    journal = tmp_path_factory.mktemp("gateway") / "journal"
    options = (*files.options, "--client-ca", str(files.authority), "--grpc-port", "0")
    with fault_server() as failpath, start_gateway(failpath.url, journal, *options) as started:
        yield started


def post(gateway: Gateway, files: TlsFiles, identity: Path | None) -> int:
    context = ssl.create_default_context(cafile=files.authority)
    if identity is not None:
        context.load_cert_chain(identity)
    request = urllib.request.Request(f"{gateway.url}/v1/traces", STEP, {"Content-Type": PROTOBUF})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=20) as response:
        return int(response.status)


def test_the_addresses_that_are_announced_are_of_https(gateway: Gateway) -> None:
    assert gateway.grpc is not None
    assert (gateway.url[:8], gateway.grpc[:8]) == ("https://", "https://")


def test_a_sender_with_a_certificate_is_let_in(gateway: Gateway, client: GrpcClient, files: TlsFiles) -> None:
    assert post(gateway, files, files.client) == 200
    assert gateway.grpc is not None
    assert client.call(gateway.grpc, STEP, ca=files.authority, identity=files.client) == Reply("OK")


def test_a_sender_without_one_or_of_another_authority_is_not(
    gateway: Gateway, client: GrpcClient, files: TlsFiles, tmp_path: Path
) -> None:
    stranger = write_tls_files(tmp_path).client
    assert gateway.grpc is not None
    for identity in (None, stranger):
        with pytest.raises((urllib.error.URLError, OSError)):
            post(gateway, files, identity)
        assert client.call(gateway.grpc, STEP, ca=files.authority, identity=identity).code == "UNAVAILABLE"


def test_a_sender_without_tls_is_not(gateway: Gateway, client: GrpcClient) -> None:
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(f"{gateway.url.replace('https', 'http')}/healthz", timeout=20)
    assert gateway.grpc is not None
    assert client.call(gateway.grpc, STEP).code == "UNAVAILABLE"
    assert gateway.stderr() == "", "what strangers try is not for the log"


def test_handshakes_that_fail_leave_no_memory_behind(gateway: Gateway, files: TlsFiles) -> None:
    before = resident(gateway)
    host, _, port = gateway.url.rpartition("//")[2].rpartition(":")
    for _ in range(600):
        with socket.create_connection((host, int(port)), 20) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionError):
                stranger.recv(100)
    assert post(gateway, files, files.client) == 200
    assert resident(gateway) - before < 40 * 1_048_576
