"""A set-up of our own side by which nothing can be asked: it is kept, and said in words that name what to correct."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import requests
import trustme

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.delivery.pipeline import pipeline_to_failpath
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import numbered
from tests.delivery.socks_server import socks_server
from tests.delivery.test_tls import TlsServer, tls_server
from tests.fault_server import FaultServer, answer, fault_server, silent, status, trickling
from tests.keys import KEY
from tests.ports import unused_url
from tests.receiver import wait_for

pytestmark = pytest.mark.usefixtures("each_way")

FAR = "https://failpath.invalid"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA) -> Iterator[TlsServer]:
    yield from tls_server(authority, "127.0.0.1")


def send(endpoint: str = FAR, **options: Any) -> Answer:
    delivery = HttpClient(Options(KEY, endpoint, **{"send_timeout": 10, **options}))
    try:
        return delivery.send([numbered(1)])
    finally:
        delivery.close()


def is_about_the_setup(given: Answer, *said: str) -> None:
    assert given.failure is not None
    assert (given.retryable, given.persistent) == (True, True), given
    for text in said:
        assert text in given.failure
    assert KEY not in given.failure
    assert SECRET not in given.failure


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_of_certificates_that_is_missing_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    given = send("https://127.0.0.1:1")
    is_about_the_setup(given, f"{variable} names {tmp_path / 'missing.pem'}, which does not exist")


def test_a_file_of_certificates_that_holds_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secured: TlsServer
) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    is_about_the_setup(send(secured.url), "TLS failed", f"REQUESTS_CA_BUNDLE names {tmp_path / 'empty.pem'}")


def test_a_certificate_that_is_not_trusted_says_why_and_what_names_others(
    monkeypatch: pytest.MonkeyPatch, secured: TlsServer, tmp_path: Path
) -> None:
    is_about_the_setup(send(secured.url), "local issuer certificate", "REQUESTS_CA_BUNDLE can name others")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    is_about_the_setup(send(secured.url), "SSL_CERT_FILE is not heeded")


def test_the_certificate_of_another_host_is_said(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    for server in tls_server(authority, "other.example"):
        is_about_the_setup(send(server.url), "certificate is not valid for '127.0.0.1'")


def test_a_server_that_speaks_no_tls_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(5)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                connection.recv(100_000)

        thread = threading.Thread(target=refuse)
        thread.start()
        given = send(f"https://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(10)
    is_about_the_setup(given, "TLS failed (wrong version number)")
    assert "certificates" not in str(given.failure)
    assert given.misaddressed


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy", ["::::", "http://", f"user:{SECRET}@", "not a url", f"foo://user:{SECRET}@x:1", "http://[::1", "a:b"]
)
def test_a_proxy_that_is_no_url_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    is_about_the_setup(send(), f"{variable} is not the URL of a proxy that can be used")


def test_a_socks_proxy_without_pysocks_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)

    def missing(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)  # what it is where the import has failed
    monkeypatch.setenv("ALL_PROXY", f"socks5h://user:{SECRET}@127.0.0.1:1")
    is_about_the_setup(send(), "ALL_PROXY names a SOCKS proxy, for which PySocks is not installed")


def no_such_host(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def getaddrinfo(host: str, *_: object, **__: object) -> Any:
        raise socket.gaierror(code, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_host_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    no_such_host(monkeypatch, socket.EAI_NONAME)
    given = send()
    is_about_the_setup(given, "there is no host failpath.invalid")
    assert given.misaddressed
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@proxy.invalid:3128")
    is_about_the_setup(send(), "HTTPS_PROXY names a proxy whose host does not exist")


def test_a_name_server_that_does_not_answer_is_a_matter_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    no_such_host(monkeypatch, socket.EAI_AGAIN)
    given = send()
    assert (given.retryable, given.persistent) == (True, False)


@pytest.mark.parametrize(("code", "lasting"), [(407, True), (403, True), (404, True), (502, False), (503, False)])
def test_the_answer_of_a_proxy_that_makes_no_tunnel_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, code: int, lasting: bool
) -> None:
    with fault_server(status(code)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//user:{SECRET}@"))
        given = send()
    assert (given.retryable, given.persistent) == (True, lasting)
    assert given.failure is not None
    assert "HTTPS_PROXY" in given.failure
    assert str(code) in given.failure
    assert SECRET not in given.failure


def test_a_proxy_where_nobody_listens_is_a_matter_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", unused_url())
    given = send()
    assert (given.retryable, given.persistent) == (True, False)
    assert given.failure == "could not be reached through the proxy of HTTPS_PROXY (ConnectionRefusedError)"


def test_a_port_where_nothing_listens_is_told_as_a_refused_connection() -> None:
    given = send(unused_url())
    assert (given.retryable, given.persistent) == (True, False)
    assert given.failure == "could not be reached (ConnectionRefusedError)"


def test_what_a_session_raises_is_kept(server: FaultServer) -> None:
    class Raising(requests.Session):
        def post(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

    with Raising() as session:
        is_about_the_setup(send(server.url, session=session), "could not be asked (ZeroDivisionError)")


def _missing_bundle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/missing.pem")
    return lambda: monkeypatch.delenv("REQUESTS_CA_BUNDLE")


def _bad_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setenv("ALL_PROXY", "no url")
    return lambda: monkeypatch.delenv("ALL_PROXY")


@pytest.mark.parametrize("spoil", [_missing_bundle, _bad_proxy])
def test_records_are_kept_until_the_setup_is_right_nobody_waits_and_it_is_said_once(  # noqa: PLR0917 - fixtures
    monkeypatch: pytest.MonkeyPatch,
    authority: trustme.CA,
    secured: TlsServer,
    tmp_path: Path,
    spoil: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mend = spoil(monkeypatch)
    options = Options(KEY, secured.url, journal=str(tmp_path / "journal"), send_timeout=10)
    first = pipeline_to_failpath(options)
    for number in range(100):
        first.put(numbered(number))
    for _ in range(3):
        began = monotonic()
        assert first.flush(20) is False
        assert monotonic() - began < 10
    assert (first.stats().waiting, first.stats().dropped) == (100, {})
    assert len(caplog.messages) == 1
    mend()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    first.sender._delivery._begin()  # type: ignore[attr-defined] # a process reads its environment once
    assert first.flush(20) is True
    assert first.shutdown(10)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_socks_proxy_carries_deliveries(  # noqa: PLR0917 - fixtures
    monkeypatch: pytest.MonkeyPatch,
    authority: trustme.CA,
    secured: TlsServer,
    server: FaultServer,
    tmp_path: Path,
    scheme: str,
    secure: bool,
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    target = secured if secure else server
    with socks_server(target.url, ("user", SECRET)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:{SECRET}@127.0.0.1:{proxy.port}")
        delivery = HttpClient(Options(KEY, target.url, send_timeout=10))
        assert [delivery.send([numbered(number)]).failure for number in range(3)] == [None] * 3
        delivery.close()
        assert proxy.asked == [("127.0.0.1", int(target.url.rpartition(":")[2]))]
    assert [event["number"] for event in target.events] == [0, 1, 2]
    assert target.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_socks_proxy_is_asked_for_a_host_that_only_it_can_find(
    monkeypatch: pytest.MonkeyPatch, server: FaultServer
) -> None:
    with socks_server(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        assert send("http://failpath.invalid").failure is None
        assert proxy.asked == [("failpath.invalid", 80)]
    assert len(server.requests) == 1


def test_a_socks_proxy_that_refuses_the_password_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, server: FaultServer
) -> None:
    with socks_server(server.url, ("user", "another")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://user:{SECRET}@127.0.0.1:{proxy.port}")
        is_about_the_setup(send(server.url), "the proxy of ALL_PROXY refused the user name or the password")


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_bad_input_a_trickled_answer_through_a_socks_proxy_has_the_deadline_of_the_send(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, server: FaultServer, tmp_path: Path, secure: bool
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    for secured in tls_server(authority, "127.0.0.1"):
        target = secured if secure else server
        target.answer_with(trickling(b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 1_000, 0.1), silent)
        with socks_server(target.url) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
            began = monotonic()
            given = send(target.url, send_timeout=0.5)
            assert monotonic() - began < 5
            assert given.retryable
            assert "did not answer within 0.5 s" in str(given.failure)


def test_the_rest_of_a_process_meets_no_trace_of_it(monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> None:
    """A session of the application goes through the same SOCKS proxy as it always has."""
    server.answer_with(answer(200, b"mine"))
    with socks_server(server.url) as proxy, requests.Session() as session:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        assert send(server.url).failure
        assert session.get(server.url).text == "mine"
    wait_for(lambda: len(server.requests) >= 2)
