"""Web pages of allowed origins may send by OTLP, and nothing else opens to them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fault_server import FaultServer
from tests.gateway.apps import App, gateway_app
from tests.gateway.requests import JSON, json_request, json_span

ORIGIN: Final = "https://shop.example"
TOKEN: Final = "a-long-token"
OWN: Final = {"Authorization": f"Bearer {TOKEN}", "Content-Type": JSON}
PATHS: Final = ["/v1/traces", "/v1/metrics", "/v1/logs"]


@pytest.fixture
def app(server: FaultServer, tmp_path: Path) -> Iterator[App]:
    with gateway_app(server.url, tmp_path, TOKEN, origins=(ORIGIN, "http://localhost:3000")) as started:
        yield started


def preflight(app: App, path: str, origin: str = ORIGIN, method: str = "POST", headers: str = "content-type") -> Any:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return app.client.options(path, headers={"Origin": origin, **asked})


def test_a_page_of_an_allowed_origin_sends_a_step(app: App, server: FaultServer) -> None:
    reply = app.client.post("/v1/traces", content=json_request(json_span()), headers={**OWN, "Origin": ORIGIN})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in reply.headers["vary"]
    assert [event["status"] for event in server.wait_for_events(2)] == ["running", "success"]


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_needs_no_token_and_allows_what_exporters_send(app: App, path: str) -> None:
    reply = preflight(app, path, headers="authorization,content-encoding,content-type")
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["access-control-allow-methods"] == "POST"
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    assert "Origin" in reply.headers["vary"]


def test_without_a_token_there_is_no_header_for_one(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path, origins=(ORIGIN,)) as app:
        assert preflight(app, "/v1/traces").status_code == 200
        assert preflight(app, "/v1/traces", headers="authorization").status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**OWN, "Authorization": ""}, 401),
        ({**OWN, "Content-Type": "text/plain"}, 415),
        (OWN, 400),
    ],
)
def test_a_page_can_read_why_its_request_was_refused(app: App, headers: dict[str, str], status: int) -> None:
    reply = app.client.post("/v1/traces", content=b"no json", headers={**headers, "Origin": ORIGIN})
    assert reply.status_code == status
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    reply = app.client.post("/v1/metrics", content=b"{}", headers={**OWN, "Origin": ORIGIN})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (404, ORIGIN)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://shop.example.evil.example", "http://shop.example", "https://shop.example:8443", "null", "*"),
        *("https://shop.example/", "https://SHOP.example", "https://evil.example, https://shop.example", ""),
    ],
)
def test_any_other_origin_is_refused(app: App, origin: str) -> None:
    reply = app.client.post("/v1/traces", content=json_request(json_span()), headers={**OWN, "Origin": origin})
    assert reply.status_code == 403
    assert "--allow-origin" in reply.json()["message"]
    assert "access-control-allow-origin" not in reply.headers
    reply = preflight(app, "/v1/traces", origin)
    assert reply.status_code == 400
    assert "access-control-allow-origin" not in reply.headers


def test_two_origins_in_one_request_are_refused(app: App) -> None:
    headers = [*OWN.items(), ("Origin", ORIGIN), ("Origin", "https://evil.example")]
    assert app.client.post("/v1/traces", content=json_request(json_span()), headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/", "/nothing", "/v1/traces/"])
def test_nothing_else_opens(app: App, path: str) -> None:
    assert preflight(app, path, method="GET").status_code in {404, 405}
    for reply in (preflight(app, path), app.client.get(path, headers={**OWN, "Origin": ORIGIN})):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_without_the_option_no_page_may_send(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path) as app:
        assert preflight(app, "/v1/traces").status_code == 405
        reply = app.client.post("/v1/traces", content=json_request(json_span()), headers={**OWN, "Origin": ORIGIN})
        assert (reply.status_code, "access-control-allow-origin" in reply.headers) == (403, False)
