"""``/healthz`` of the receiver: it serves, and how many requests were for routes that it does not have."""

from starlette.testclient import TestClient

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.guard import Access
from tests.local.page import Page


def test_requests_for_unknown_routes_are_counted(page: Page) -> None:
    assert page.client.get("/healthz").json() == {"status": "ok", "unknown_routes": 0}
    assert page.client.post("/v1/nothing", content=b"{}").status_code == 404
    assert page.client.post("/v1/events/").status_code == 404
    assert page.client.get("/nothing", headers={"Accept": "text/html"}).status_code == 404
    assert page.client.get("/api/runs/none").status_code == 404, "a run that is not there is no route"
    assert page.client.get("/v1/events").status_code == 405, "a route that is known"
    assert page.client.get("/").status_code == 200
    assert page.client.get("/healthz").json() == {"status": "ok", "unknown_routes": 3}


def test_a_probe_needs_no_token_but_the_name_of_this_machine(page: Page) -> None:
    app = create_app(page.receiver, Access(token="a-secret-token"))
    client = TestClient(app, base_url="http://127.0.0.1:3001")
    assert client.get("/healthz").status_code == 200
    assert client.get("/api/runs").status_code == 401
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/healthz", headers={"Origin": "http://evil.example"}).status_code == 403
