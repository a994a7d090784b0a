"""TLS: a server whose certificate nobody vouches for gets nothing, whatever a process has done to its settings."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter

from failpath_otel import report
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import numbered
from tests.fault_server import FaultServer
from tests.keys import KEY

pytestmark = pytest.mark.usefixtures("each_way")


class TlsServer(FaultServer):
    """A fault server that speaks TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")

    def _serve(self, connection: Any) -> None:
        with suppress(OSError):  # a client that does not like the certificate
            secured = self._context.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(secured)
            super()._serve(secured)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The file of those who do know it."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def tls_server(authority: trustme.CA, name: str) -> Iterator[TlsServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    running = TlsServer(context)
    yield running
    running.close()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[TlsServer]:
    yield from tls_server(authority, "127.0.0.1")


@pytest.fixture
def misnamed(authority: trustme.CA) -> Iterator[TlsServer]:
    yield from tls_server(authority, "other.example")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PYTHONHTTPSVERIFY"):
        monkeypatch.delenv(variable, raising=False)


def send(server: FaultServer, session: requests.Session | None = None) -> Answer:
    delivery = HttpClient(Options(KEY, server.url, session=session, send_timeout=10))
    try:
        return delivery.send([numbered(1)])
    finally:
        delivery.close()


def variable(name: str, value: str) -> Any:
    return pytest.param(lambda patch: patch.setenv(name, value), id=f"{name}={value!r}")


def _unverified_contexts(patch: pytest.MonkeyPatch) -> None:
    unverified: Any = ssl._create_unverified_context
    patch.setattr(ssl, "_create_default_https_context", unverified)
    patch.setattr(ssl, "create_default_context", unverified)


def _settings_without_verify(patch: pytest.MonkeyPatch) -> None:
    kept = requests.Session.merge_environment_settings

    def merged(*given: Any) -> Any:
        return {**kept(*given), "verify": False}

    patch.setattr(requests.Session, "merge_environment_settings", merged)


def _adapter_without_verify(patch: pytest.MonkeyPatch) -> None:
    kept: Any = HTTPAdapter.cert_verify

    def cert_verify(self: HTTPAdapter, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        kept(self, conn, url, False, cert)

    patch.setattr(HTTPAdapter, "cert_verify", cert_verify)


@pytest.mark.parametrize(
    "turn_off",
    [
        pytest.param(lambda patch: None, id="nothing"),
        variable("CURL_CA_BUNDLE", ""),
        variable("REQUESTS_CA_BUNDLE", ""),
        variable("PYTHONHTTPSVERIFY", "0"),
        variable("REQUESTS_CA_BUNDLE", "/nowhere/to/be/found.pem"),
        _unverified_contexts,
        _settings_without_verify,
        _adapter_without_verify,
    ],
)
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, turn_off: Any
) -> None:
    turn_off(monkeypatch)
    answer = send(server)
    assert answer.failure is not None
    assert KEY not in answer.failure
    assert server.requests == []


def test_where_a_process_verifies_nothing_deliveries_still_do(
    server: TlsServer, misnamed: TlsServer, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.setattr("certifi.where", lambda: bundle)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", bundle)
    # requests 2.32 has read the bundle when it was imported; others do not look at this.
    read = ssl.create_default_context(cafile=bundle)
    monkeypatch.setattr("requests.adapters._preloaded_ssl_context", read, raising=False)
    _settings_without_verify(monkeypatch)
    assert send(server) == Answer(status=202)
    assert send(misnamed).failure is not None


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_server_is_trusted_by_the_bundle_of_the_environment(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, bundle: str, variable: str
) -> None:
    monkeypatch.setenv(variable, bundle)
    assert send(server) == Answer(status=202)
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"]


def test_a_server_with_the_certificate_of_another_gets_nothing(
    misnamed: TlsServer, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert send(misnamed).failure is not None
    assert misnamed.requests == []


def test_a_session_verifies_as_it_is_told_to(server: TlsServer, bundle: str) -> None:
    with requests.Session() as session:
        assert send(server, session).failure is not None
        assert server.requests == []
        session.verify = bundle
        assert send(server, session).failure is None


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_session_that_verifies_nothing_is_the_users_choice_and_said_once(
    server: TlsServer, caplog: pytest.LogCaptureFixture
) -> None:
    with requests.Session() as session, caplog.at_level(logging.WARNING, "failpath_otel"):
        session.verify = False
        assert send(server, session).failure is None
        assert send(server, session).failure is None
    assert [record.getMessage() for record in caplog.records] == [
        "Failpath: certificates are not verified, because the given session has verify=False"
    ]
