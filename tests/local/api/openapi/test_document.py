"""The OpenAPI document has every operation, is what its version says, and answers are as it says."""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest

from failpath_otel.local.api.openapi.operations import OPENAPI, OPERATIONS
from tests.local.contract import DOCUMENT, check_answer
from tests.local.events import event, wire
from tests.local.page import Page

COMMITTED: Final = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"

OTHER_STANDARDS: Final = re.compile(
    r"/v1/(traces|metrics|logs)|/healthz|/readyz|/metrics|/page/.*|/|/flows/.*|/runs(/.*)?|/compare/.*"
)
"""Routes of OTLP, of probes, and of the page itself."""


def test_every_operation_of_the_receiver_is_in_the_document_and_no_other(page: Page) -> None:
    app: Any = page.client.app
    while not hasattr(app, "routes"):
        app = app.app
    served = {
        (method, re.sub(r":[^}]*\}", "}", route.path))
        for route in app.routes
        for method in route.methods - {"HEAD"}
        if not OTHER_STANDARDS.fullmatch(route.path)
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS} == served
    names = [operation.name for operation in OPERATIONS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.skipif("FLOORS" in os.environ, reason="older msgspec indents descriptions, and has another order of types")
def test_the_document_that_is_served_is_the_committed_one(page: Page) -> None:
    """`python -m tools.openapi` writes it: what changes for clients is seen in its difference."""
    assert page.client.get(OPENAPI).json() == json.loads(COMMITTED.read_text(encoding="utf-8")) == DOCUMENT


def test_every_schema_is_one() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("description"), name


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/runs", 200),
        ("GET", "/api/runs?limit=1&status=error&flow=checkout", 200),
        ("GET", "/api/runs?limit=none", 400),
        ("GET", "/api/runs/run-1", 200),
        ("GET", "/api/runs/none", 404),
        ("GET", "/api/changes", 200),
        ("GET", "/api/changes?after=another-1", 200),
        ("GET", "/api/changes?wait=1000", 400),
        ("GET", "/api/flows", 200),
        ("GET", "/api/seen-spans", 200),
        ("GET", "/api/page/status", 200),
        ("POST", "/api/page/sample", 201),
        ("DELETE", "/api/page/sample", 200),
        ("GET", OPENAPI, 200),
    ],
)
def test_answers_and_refusals_are_as_the_document_says(page: Page, method: str, path: str, status: int) -> None:
    page.add(event("running", 1), event("success", 2, started=1), event("running", 3, step="mail", span="b"))
    answer = page.client.request(method, path)
    assert answer.status_code == status, answer.text
    check_answer(method, path.partition("?")[0], status, answer.json())


def test_events_are_taken_and_refused_as_the_document_says(page: Page) -> None:
    headers = {"Authorization": "Bearer key"}
    good = {"events": [wire(event("running", 1)), {"id": "bad"}]}
    for body, kind, key, status in (
        (good, "application/json", headers, 202),
        ([], "application/json", headers, 400),
        (good, "text/plain", headers, 415),
        (good, "application/json", {}, 401),
    ):
        answer = page.client.post("/v1/events", content=json.dumps(body), headers={"Content-Type": kind, **key})
        assert answer.status_code == status
        check_answer("POST", "/v1/events", status, answer.json())


def test_an_answer_that_does_not_fit_is_found() -> None:
    good: dict[str, Any] = {"runs": []}
    check_answer("GET", "/api/runs", 200, good)
    for path, status, wrong in (
        ("/api/runs", 200, {}),
        ("/api/runs", 200, {"runs": [], "more": 1}),
        ("/api/runs", 200, {"runs": [{"runId": "a"}]}),
        ("/api/runs", 418, good),
        ("/api/unknown", 200, good),
    ):
        with pytest.raises(AssertionError):
            check_answer("GET", path, status, wrong)
