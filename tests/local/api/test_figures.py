"""How a receiver says how it is: ready, and in figures."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from starlette.testclient import TestClient

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.figures import Figures
from failpath_otel.local.api.guard import Access
from failpath_otel.local.store import database
from tests.gateway.requests import JSON, json_request, json_span
from tests.local.events import event, wire
from tests.local.page import Page, opened_page
from tests.local.rows import project

TOKEN: Final = "a-secret-token"
KEY: Final = {"Authorization": "Bearer any", "Content-Type": "application/json"}


def samples(client: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What is scraped, by name and labels."""
    reply = client.get("/metrics")
    assert reply.status_code == 200
    found = [sample for family in parse(reply.text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def test_the_metrics_follow_what_happens(page: Page) -> None:
    before = samples(page.client)
    assert before["failpath_database_runs", ()] == 0
    assert before["failpath_ready", ()] == 1
    body = json.dumps({"events": [{}, wire(event("running", 1))]}).encode()
    assert page.client.post("/v1/events", content=body, headers=KEY).status_code == 202
    assert page.client.post("/v1/events", content=b"x", headers=KEY).status_code == 400
    spans = json_request(json_span(), json_span(attributes=[]))
    assert page.client.post("/v1/traces", content=spans, headers={"Content-Type": JSON}).status_code == 200
    project(page.store)
    after = samples(page.client)
    assert after["failpath_events_total", (("outcome", "accepted"),)] == 1
    assert after["failpath_events_total", (("outcome", "rejected"),)] == 1
    assert after["failpath_spans_total", (("outcome", "step"), ("protocol", "http"))] == 1
    assert after["failpath_spans_total", (("outcome", "ignored"), ("protocol", "http"))] == 1
    events = ("protocol", "http"), ("signal", "events")
    assert after["failpath_requests_total", (("code", "202"), *events)] == 1
    assert after["failpath_requests_total", (("code", "400"), *events)] == 1
    assert after["failpath_database_runs", ()] == 2
    assert sum(after["failpath_running_runs", (("liveness", word),)] for word in ("live", "silent", "gone")) == 1
    assert 0 < after["failpath_database_bytes", ()] < after["failpath_database_limit_bytes", ()] == 512 * 1_048_576


def test_while_another_process_writes_it_is_alive_and_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    with (
        opened_page(tmp_path / "page.db") as page,
        closing(sqlite3.connect(page.path, isolation_level=None)) as other,
    ):
        assert page.client.get("/readyz").json() == {"status": "ready"}
        other.execute("BEGIN IMMEDIATE")
        reply = page.client.get("/readyz")
        assert (reply.status_code, "locked" in reply.json()["reason"]) == (503, True)
        assert page.client.get("/healthz").status_code == 200
        other.execute("ROLLBACK")
        assert page.client.get("/readyz").status_code == 200


def test_a_receiver_that_ends_is_not_ready(page: Page) -> None:
    app = create_app(page.receiver, None, Figures(page.receiver, is_ending=lambda: True))
    client = TestClient(app, base_url="http://127.0.0.1:3001")
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert samples(client)["failpath_ready", ()] == 0


def test_figures_are_behind_the_checks_of_all_else(page: Page) -> None:
    client = TestClient(create_app(page.receiver, Access(token=TOKEN)), base_url="http://127.0.0.1:3001")
    own = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/readyz", "/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=own).status_code == 200
        assert client.get(path, headers={**own, "Host": "evil.example"}).status_code == 400
        assert client.get(path, headers={**own, "Origin": "http://evil.example"}).status_code == 403
