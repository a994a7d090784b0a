"""Deliveries by a proxy of the environment."""

from collections.abc import Iterator
from time import monotonic

import pytest

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from tests.delivery.pipelines import numbered
from tests.fault_server import FaultServer, fault_server, status, trickling
from tests.keys import KEY


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for variable in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with fault_server() as running:
        address = running.url.replace("http://", "http://user:word@")
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, address)
        yield running


def test_a_proxy_is_asked_with_its_own_password_and_the_project_key(proxy: FaultServer) -> None:
    delivery = HttpClient(Options(KEY, "http://failpath.invalid"))
    assert delivery.send([numbered(1)]).failure is None
    delivery.close()
    [request] = proxy.requests
    assert request.path == "http://failpath.invalid/v1/events"
    assert request.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_that_wants_another_password_is_said(proxy: FaultServer) -> None:
    proxy.answer_with(status(407))
    delivery = HttpClient(Options(KEY, "http://failpath.invalid"))
    assert "a proxy wants a password (407)" in str(delivery.send([numbered(1)]).failure)
    delivery.close()


def test_bad_input_a_proxy_that_answers_a_byte_now_and_then_has_the_deadline_of_the_send(proxy: FaultServer) -> None:
    proxy.answer_with(trickling(b"HTTP/1.1 200 Connection established\r\nX-Slow: " + b"x" * 1_000, 0.1))
    delivery = HttpClient(Options(KEY, "https://failpath.invalid", send_timeout=0.5))
    began = monotonic()
    assert delivery.send([numbered(1)]).retryable
    assert monotonic() - began < 5
    delivery.close()
