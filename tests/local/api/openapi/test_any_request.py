"""Requests that Schemathesis makes of the document get answers as it says, and never a failure of the server."""

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel.local.api.openapi.operations import OPENAPI, OPERATIONS
from tests.local.events import event
from tests.local.page import opened_page
from tests.properties.tape import properties

schemathesis: Final = pytest.importorskip("schemathesis", reason="among the packages of `dev`")

CHECKS: Final = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
"""Not that unknown parameters are refused: they are ignored, so that newer clients work with older receivers."""

STREAM: Final = "/api/page/stream"
"""It does not end by itself."""


@pytest.mark.process  # starts none, but its packages are not among those of the fast tests, and it takes seconds
def test_no_request_makes_the_receiver_fail_and_every_answer_fits(tmp_path: Path) -> None:
    with opened_page(tmp_path / "db") as page:
        page.add(event("running", 1), event("success", 2, started=1), event("running", 3, run="run-2", span="b"))
        described = schemathesis.openapi.from_dict(page.client.get(OPENAPI).json())
        operations = {found.ok().label: found.ok() for found in described.get_all_operations()}
        assert set(operations) == {f"{operation.method} {operation.path}" for operation in OPERATIONS}
        asked = [operation for label, operation in operations.items() if not label.endswith(STREAM)]
        modes = list(schemathesis.GenerationMode)
        cases = st.sampled_from(asked).flatmap(
            lambda operation: st.sampled_from(modes).flatmap(lambda mode: operation.as_strategy(generation_mode=mode))
        )
        checks = schemathesis.checks.CHECKS.get_by_names(CHECKS)
        statuses: set[int] = set()

        @properties(80)
        @given(case=cases, key=st.sampled_from([{}, {"Authorization": "Bearer key"}]))
        def ask(case: Any, key: dict[str, str]) -> None:
            if "wait" in case.query:
                case.query["wait"] = 0
            sent = case.as_transport_kwargs(base_url="http://127.0.0.1:3001", headers=key)
            sent.pop("cookies", None)
            if isinstance(data := sent.pop("data", None), (str, bytes)):
                sent["content"] = data
            answer = page.client.request(sent.pop("method"), sent.pop("url"), **sent)
            statuses.add(answer.status_code)
            case.validate_response(answer, checks=checks)

        ask()
        assert {200, 400} <= statuses
