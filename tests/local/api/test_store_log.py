"""What the log says while the database takes nothing."""

import sqlite3
from typing import Any

import pytest

from failpath_otel.local.api import store_log
from failpath_otel.local.store.database import StoreError
from tests.gateway.requests import JSON, json_request, json_span
from tests.local.page import Page


def test_a_full_database_is_logged_once_a_minute_and_not_for_each_request(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1_000.0
    monkeypatch.setattr(store_log, "_logged", {})
    monkeypatch.setattr(store_log, "monotonic", lambda: now)

    def refuse(*_: Any) -> None:
        raise StoreError("runs.db: database or disk is full") from sqlite3.OperationalError()

    monkeypatch.setattr(page.store, "add", refuse)
    event: dict[str, Any] = {"id": "1", "flowKey": "f", "runId": "r", "stepKey": "s", "status": "running"}
    event |= {"timestamp": "2026-01-01T00:00:00Z", "metadata": {}, "traceId": "1" * 32, "spanId": "1" * 16}

    def send() -> None:
        for _ in range(3):
            spans = page.client.post("/v1/traces", content=json_request(json_span()), headers={"Content-Type": JSON})
            assert spans.status_code == 503
            events = page.client.post("/v1/events", json={"events": [event]}, headers={"Authorization": "Bearer a"})
            assert events.status_code == 503

    send()
    assert [message.partition(" (")[0] for message in caplog.messages if "full" in message] == [
        "runs.db: database or disk is full"
    ]
    now += 60
    send()
    assert len([message for message in caplog.messages if "full" in message]) == 2
