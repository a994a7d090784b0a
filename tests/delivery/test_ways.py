"""The way that a request takes: straight, or through a proxy of the environment, as ``requests`` would choose."""

import gzip
import os
import socket
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
import trustme
from requests.utils import get_environ_proxies, select_proxy

from failpath_otel.delivery.http import direct_channel
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.delivery.http.direct_channel import DirectChannel, is_plain
from failpath_otel.delivery.http.proxy_choice import proxy_for
from failpath_otel.delivery.http.requests_channels import ProxyChannel
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import numbered
from tests.delivery.test_tls import TlsServer, tls_server
from tests.fault_server import FaultServer, accepted, answer, fault_server, silent, trickling
from tests.keys import KEY

PROXY = "http://user:word@127.0.0.1:9"
HEADERS = {"Content-Type": "application/json", "X-Tenant": "shop"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle")) or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def send(endpoint: str, records: int = 1, **options: object) -> Answer:
    delivery = HttpClient(Options(KEY, endpoint, **{"send_timeout": 10, **options}))  # type: ignore[arg-type]
    try:
        return delivery.send([numbered(number) for number in range(records)])
    finally:
        delivery.close()


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HTTP_PROXY": PROXY},
    {"http_proxy": PROXY, "HTTP_PROXY": "http://other.invalid"},
    {"http_proxy": "", "HTTP_PROXY": PROXY},
    {"HTTPS_PROXY": PROXY},
    {"https_proxy": PROXY},
    {"ALL_PROXY": PROXY},
    {"all_proxy": PROXY, "HTTP_PROXY": "http://other.invalid"},
    {"FTP_PROXY": PROXY, "NO_PROXY": "example.com"},
    {"NO_PROXY": "*"},
    {"http://api.example.com_proxy": PROXY},
    {"all://api.example.com_proxy": PROXY},
    {"https://other.example.com_proxy": PROXY},
    {"REQUEST_METHOD": "GET", "HTTP_PROXY": PROXY},
]
EXCEPTIONS = [
    None,
    "",
    "*",
    "example.com",
    ".example.com",
    "EXAMPLE.com",
    " api.example.com , other",
    "api.example.com:8080",
    "other.example.com,ample.com",
    "10.0.0.0/8",
    "10.1.2.3",
    "10.1.2.3/33,10.1.2.0/31",
    "10.1.2.3:8080",
    "127.0.0.1,localhost",
    "::1",
    "[::1]",
]
URLS = [
    f"{scheme}://{host}{port}/v1/events"
    for scheme, host, port in product(
        ("http", "https"),
        ("api.example.com", "example.com", "localhost", "10.1.2.3", "127.0.0.1", "[::1]"),
        ("", ":8080"),
    )
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda each: " ".join(each) or "nothing")
@pytest.mark.parametrize("exception", EXCEPTIONS, ids=repr)
def test_the_proxy_is_the_one_that_requests_would_take(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exception: str | None
) -> None:
    set_all(monkeypatch, environment)
    if exception is not None:
        monkeypatch.setenv("no_proxy", exception)
    for url in URLS:
        assert proxy_for(url) == (select_proxy(url, get_environ_proxies(url)) or ""), url


def test_requests_is_not_asked_where_no_variable_names_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.utils.get_environ_proxies", pytest.fail)
    set_all(monkeypatch, {"FTP_PROXY": PROXY, "NO_PROXY": "example.com", "https_proxy": PROXY})
    assert proxy_for("http://api.example.com/v1/events") == ""


@pytest.mark.parametrize(
    ("variables", "is_proxied"),
    [
        ({}, False),
        ({"HTTP_PROXY": "$PROXY"}, True),
        ({"http_proxy": "$PROXY"}, True),
        ({"ALL_PROXY": "$PROXY"}, True),
        ({"HTTP_PROXY": "$BARE"}, True),
        ({"HTTPS_PROXY": "$PROXY"}, False),
        ({"HTTP_PROXY": "$PROXY", "NO_PROXY": "127.0.0.1"}, False),
        ({"HTTP_PROXY": "$PROXY", "no_proxy": "127.0.0.0/8"}, False),
        ({"HTTP_PROXY": "$PROXY", "NO_PROXY": "*"}, False),
        ({"HTTP_PROXY": "$PROXY", "NO_PROXY": "127.0.0.2,10.0.0.0/8,localhost"}, True),
    ],
    ids=repr,
)
def test_a_request_goes_to_the_proxy_or_straight_to_the_endpoint(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], is_proxied: bool
) -> None:
    with fault_server() as endpoint, fault_server() as proxy:
        places = {"$PROXY": proxy.url.replace("//", "//user:word@"), "$BARE": proxy.url.removeprefix("http://")}
        set_all(monkeypatch, {name: places.get(value, value) for name, value in variables.items()})
        assert send(endpoint.url) == Answer(status=202)
        assert (len(proxy.requests), len(endpoint.requests)) == (int(is_proxied), int(not is_proxied))
        [request] = proxy.requests + endpoint.requests
        assert request.path == (endpoint.url if is_proxied else "") + "/v1/events"
        assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("variables", "is_trusted"),
    [
        ({}, False),
        ({"REQUESTS_CA_BUNDLE": "own"}, True),
        ({"CURL_CA_BUNDLE": "own"}, True),
        ({"REQUESTS_CA_BUNDLE": "own", "CURL_CA_BUNDLE": "other"}, True),
        ({"REQUESTS_CA_BUNDLE": "other", "CURL_CA_BUNDLE": "own"}, False),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "own"}, True),
        ({"SSL_CERT_FILE": "own"}, False),
        ({"REQUESTS_CA_BUNDLE": "own", "NO_PROXY": "*"}, True),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", ["straight", "requests"])
def test_the_bundle_is_the_one_that_requests_would_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], is_trusted: bool, way: str
) -> None:
    own = trustme.CA()
    for name, authority in {"own": own, "other": trustme.CA()}.items():
        authority.cert_pem.write_to_path(tmp_path / name)
    named = {name: str(tmp_path / value) if value in {"own", "other"} else value for name, value in variables.items()}
    set_all(monkeypatch, named)
    if way == "requests":
        monkeypatch.setattr("failpath_otel.delivery.http.own_channel.is_plain", lambda *_: False)
    for server in tls_server(own, "127.0.0.1"):
        said = send(server.url)
        assert (said.failure is None) == is_trusted
        assert len(server.requests) == int(is_trusted)
        assert said.failure is None or "local issuer certificate" in said.failure


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port, and what came to it: one request a connection."""
    came: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as incoming:
                lines = list(iter(incoming.readline, b"\r\n"))
                length = next(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
                came.append(b"".join(lines) + b"\r\n" + incoming.read(length))
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], came
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    "path", ["/v1/events", "/a", "/behind/a/proxy/v1/events", "/a.b/~c/d-e_f", "/(a)/b;c=d/e,f@g:h!$&'*+"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST"])
@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        {"host": "other.example", **HEADERS},
        {"Accept-Encoding": "gzip", **HEADERS},
        {**HEADERS, "x-tenant": "another", "Connection": "close"},
    ],
    ids=" ".join,
)
def test_a_straight_request_is_byte_for_byte_that_of_requests(path: str, host: str, headers: dict[str, str]) -> None:
    with listener() as (port, came):
        url = f"http://{host}:{port}{path}"
        assert is_plain(url, headers)
        for channel in (DirectChannel(url), ProxyChannel(url)):
            with channel.post(b'{"events":[]}', dict(headers), 10) as reply:
                assert reply.status == 202
            channel.close()
    assert came[0] == came[1]


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://127.0.0.1/v1/events",
        "http://127.0.0.1/a//v1/events",
        "http://127.0.0.1/a/../v1/events",
        "http://127.0.0.1/./v1/events",
        "http://127.0.0.1/%7Eme/v1/events",
        "http://127.0.0.1/bücher/v1/events",
        "http://127.0.0.1/v1/events/",
        "http://127.0.0.1/v1/\\events",
        "http://bücher.example/v1/events",
        "http://localhost./v1/events",
        "http://a..b/v1/events",
        f"http://{'a' * 64}.example/v1/events",
        "http://-a.example/v1/events",
        "http://[fe80::1%25eth0]/v1/events",
        "http://user:word@127.0.0.1/v1/events",
        "http://127.0.0.1/v1/events\r\nX-A: b",
    ],
)
def test_a_url_that_requests_would_encode_goes_by_requests(url: str) -> None:
    assert not is_plain(url, HEADERS)


@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-LENGTH"])
def test_a_header_about_the_body_goes_by_requests(name: str) -> None:
    assert not is_plain("http://127.0.0.1/v1/events", {name: "7"})


def test_a_url_that_has_to_be_encoded_arrives(server: FaultServer) -> None:
    assert send(server.url + "/bücher") == Answer(status=202)
    assert server.requests[0].path == "/b%C3%BCcher/v1/events"


def test_an_endpoint_with_an_ipv6_address_is_asked() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    came: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            came.append(connection.recv(10_000))
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    with listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        assert send(f"http://[::1]:{port}") == Answer(status=202)
        thread.join(10)
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in came[0]


JSON = b'{"rejected": [{"index": 0, "reason": "unknown flow"}]}'


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(JSON)), ("X-GZIP", gzip.compress(JSON)), ("deflate", zlib.compress(JSON))],
    ids=["gzip", "X-GZIP", "deflate"],
)
def test_an_answer_that_is_compressed_all_the_same_is_read(server: FaultServer, encoding: str, body: bytes) -> None:
    server.answer_with(answer(200, body, Content_Encoding=encoding))
    assert send(server.url).rejected == ((0, "unknown flow"),)


def test_bad_input_an_answer_that_cannot_be_decompressed_is_a_failure_of_the_moment(server: FaultServer) -> None:
    server.answer_with(answer(200, JSON, Content_Encoding="gzip"))
    said = send(server.url)
    assert (said.retryable, said.persistent) == (True, False)


def test_bad_input_a_header_over_several_lines_is_said_on_one(server: FaultServer) -> None:
    server.answer_with(answer(302, Location="/login\r\n /elsewhere"))
    assert "redirects to /login /elsewhere (302)" in str(send(server.url).failure)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\n\r\n{}",
        b"HTTP/1.0 202 Accepted\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["in chunks", "until the end", "HTTP/1.0"],
)
def test_an_answer_in_any_form_is_read_to_its_end(server: FaultServer, head: bytes) -> None:
    def behave(exchange: object) -> bool:
        exchange.send(head)  # type: ignore[attr-defined]
        return b"Length" in head or b"chunked" in head

    server.answer_with(behave, accepted)
    delivery = HttpClient(Options(KEY, server.url, send_timeout=10))
    assert [delivery.send([numbered(number)]).failure for number in range(2)] == [None, None]
    delivery.close()
    assert len(server.requests) == 2


def test_bad_input_an_answer_that_ends_early_in_a_chunk_is_a_failure_of_the_moment(server: FaultServer) -> None:
    def behave(exchange: object) -> bool:
        exchange.send(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}")  # type: ignore[attr-defined]
        return False

    server.answer_with(behave)
    said = send(server.url)
    assert (said.retryable, said.persistent, said.failure) == (True, False, "could not be reached (IncompleteRead)")


@pytest.mark.parametrize(
    "junk",
    [b"SSH-2.0-OpenSSH_9.9\r\n\r\n", b"HTTP/1.1 2x2 OK\r\n\r\n", b"HTTP/1.1 200 " + b"a" * 70_000],
    ids=["SSH", "no number", "a long line"],
)
def test_bad_input_an_answer_that_is_no_http_is_a_failure_of_the_moment(server: FaultServer, junk: bytes) -> None:
    def behave(exchange: object) -> bool:
        exchange.send(junk)  # type: ignore[attr-defined]
        return False

    server.answer_with(behave)
    said = send(server.url)
    assert (said.retryable, said.persistent) == (True, False)
    assert "could not be reached" in str(said.failure)


def test_a_client_that_is_dropped_closes_its_connection(server: FaultServer) -> None:
    delivery = HttpClient(Options(KEY, server.url))
    assert delivery.send([numbered(1)]).failure is None
    way = getattr(delivery._channel, "_way")  # noqa: B009 - of `OwnChannel`
    assert isinstance(way, DirectChannel)
    connection = way._connection
    del way, delivery._channel
    assert connection.fileno() == -1


def test_where_a_server_goes_down_the_last_failure_is_said_and_not_that_of_the_kept_connection(
    server: FaultServer,
) -> None:
    def go(_: object) -> bool:
        server.go_down()  # as the kept connection is used again
        return False

    server.answer_with(accepted, go)
    delivery = HttpClient(Options(KEY, server.url, send_timeout=10))
    assert delivery.send([numbered(1)]).failure is None
    assert delivery.send([numbered(2)]).failure == "could not be reached (ConnectionRefusedError)"
    delivery.close()
    assert len(server.requests) == 2


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TlsServer]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    yield from tls_server(authority, "127.0.0.1")


@pytest.fixture
def _beside_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS goes over the stream that takes the place of the sockets that gevent patches."""
    monkeypatch.setattr(direct_channel, "is_gevent_patched", lambda: True)


@pytest.mark.usefixtures("_beside_gevent")
def test_tls_beside_gevent_carries_large_batches_on_one_connection(secured: TlsServer) -> None:
    delivery = HttpClient(Options(KEY, secured.url, send_timeout=10))
    large = b'"' + b"x" * 900_000 + b'"'
    assert [delivery.send([large]).failure for _ in range(3)] == [None] * 3
    delivery.close()
    assert secured.connections == 1
    assert [len(request.body) for request in secured.requests] == [len(b'{"events":[]}') + len(large)] * 3


@pytest.mark.usefixtures("_beside_gevent")
def test_tls_beside_gevent_has_the_deadline_and_says_when_the_other_end_is_gone(secured: TlsServer) -> None:
    secured.answer_with(trickling(b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 1_000, 0.1))
    assert send(secured.url, send_timeout=0.3).failure == "did not answer within 0.3 s"
    secured.answer_with(silent)
    assert send(secured.url, send_timeout=0.3).failure == "did not answer within 0.3 s"
    secured.answer_with(lambda _: False)
    assert send(secured.url).failure == "could not be reached (RemoteDisconnected)"


@pytest.mark.usefixtures("_beside_gevent")
def test_tls_beside_gevent_verifies(secured: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "local issuer certificate" in str(send(secured.url).failure)
    assert secured.requests == []
