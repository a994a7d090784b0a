"""The routes of OTLP beside that of traces, pages of other origins, and addresses that are no routes."""

from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.guard import Access
from tests.gateway.requests import JSON, PROTOBUF, json_request, json_span
from tests.local.page import Page

ORIGIN: Final = "http://shop.example:3000"
TOKEN: Final = "a-secret-token"
TYPED: Final = {"Content-Type": JSON}
STEP: Final = json_request(json_span())


def client_of(page: Page, token: str | None = None) -> Any:
    """A client of a receiver that accepts spans of one other origin."""
    app = create_app(page.receiver, Access(token=token, origins=(ORIGIN,)))
    return TestClient(app, base_url="http://127.0.0.1:3001", raise_server_exceptions=False)


def preflight(client: Any, path: str, origin: str = ORIGIN, headers: str = "content-type") -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return client.options(path, headers={"Origin": origin, **asked})


def test_metrics_are_refused_with_the_variable_to_set(page: Page) -> None:
    reply = page.client.post("/v1/metrics", content=b"{}", headers=TYPED)
    assert (reply.status_code, reply.json()["code"]) == (404, 12)
    assert "OTEL_METRICS_EXPORTER=none" in reply.json()["message"]
    shown = page.client.get("/metrics").text
    assert 'failpath_other_signal_requests_total{outcome="refused",protocol="http",signal="metrics"} 1.0' in shown
    assert page.client.get("/healthz").json()["unknown_routes"] == 0


def test_a_page_of_an_allowed_origin_sends_a_step_and_nothing_else_opens(page: Page) -> None:
    client = client_of(page)
    assert preflight(client, "/v1/traces").headers["access-control-allow-origin"] == ORIGIN
    reply = client.post("/v1/traces", content=STEP, headers={**TYPED, "Origin": ORIGIN})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert [dirty.run.run_id for dirty in page.store.dirty(10)] == [json_span()["traceId"]]
    events = {"Authorization": "Bearer any", **TYPED, "Origin": ORIGIN}
    for path in ("/v1/events", "/api/runs", "/api/page/status", "/healthz", "/metrics", "/readyz", "/"):
        assert preflight(client, path).status_code == 403
        for reply in (client.get(path, headers=events), client.post(path, content=b"{}", headers=events)):
            assert reply.status_code == 403
            assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["http://shop.example", "http://evil.example", "http://127.0.0.1:3001", "null"])
def test_any_other_origin_and_the_page_itself_send_no_spans(page: Page, origin: str) -> None:
    client = client_of(page)
    reply = client.post("/v1/traces", content=STEP, headers={**TYPED, "Origin": origin})
    assert (reply.status_code, "--allow-origin" in reply.json()["error"]) == (403, True)
    assert "access-control-allow-origin" not in preflight(client, "/v1/traces", origin).headers


def test_a_page_of_an_allowed_origin_needs_the_token_and_no_cookie_stands_for_it(page: Page) -> None:
    client = client_of(page, TOKEN)
    assert client.get(f"/?token={TOKEN}", follow_redirects=False).status_code == 303  # the cookie is set
    assert client.get("/api/runs").status_code == 200
    page_of_other = {**TYPED, "Origin": ORIGIN}
    refused = client.post("/v1/traces", content=STEP, headers=page_of_other)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    assert preflight(client, "/v1/traces", headers="authorization,content-type").status_code == 200
    own = {**page_of_other, "Authorization": f"Bearer {TOKEN}"}
    assert client.post("/v1/traces", content=STEP, headers=own).status_code == 200
    assert client.post("/v1/logs", content=b"{}", headers=own).status_code == 200


def test_an_allowed_origin_under_a_foreign_name_is_refused(page: Page) -> None:
    foreign = {**TYPED, "Origin": ORIGIN, "Host": "evil.example"}
    assert client_of(page).post("/v1/traces", content=STEP, headers=foreign).status_code == 400


@pytest.mark.parametrize("path", ["/v1/trace", "/v1/traces/", "/", "/nothing"])
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_sender_of_otlp_at_another_address_gets_a_status_that_names_the_route(
    page: Page, path: str, kind: str
) -> None:
    reply = page.client.post(path, content=STEP, headers={"Content-Type": kind})
    assert reply.status_code in {404, 405}
    assert reply.headers["content-type"] == kind
    assert b"spans are taken by POST at /v1/traces" in reply.content


def test_others_get_at_an_unknown_address_what_they_got_before(page: Page) -> None:
    assert page.client.post("/v1/events/", content=b"{}").json() == {"error": "Not Found"}
    assert page.client.post("/api/nothing", content=b"{}").json() == {"error": "Not Found"}
    assert page.client.get("/v1/nothing").json() == {"error": "Not Found"}
    assert "<html" in page.client.get("/nothing", headers={"Accept": "text/html"}).text
