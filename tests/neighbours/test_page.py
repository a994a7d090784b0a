"""The programs of docs/guides/existing-setups.md, beside the libraries that they are about."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read_page
from tests.docs.running import environment, run_page
from tests.fault_server import answer, fault_server

pytestmark = pytest.mark.process

BESIDE = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "LANGFUSE_PUBLIC_KEY": "pk-lf-local",
    "LANGFUSE_SECRET_KEY": "sk-lf-local",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "LOGFIRE_CONSOLE": "false",
}


def test_the_programs_of_the_page_run_and_their_steps_arrive(tmp_path: Path) -> None:
    page = read_page(ROOT / "docs" / "guides" / "existing-setups.md")
    assert len(page.programs) == 5
    with fault_server() as failpath, fault_server(answer(200, b"{}", Content_Type="application/json")) as others:
        variables = environment(failpath) | BESIDE
        variables |= {
            "DD_TRACE_AGENT_URL": others.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": others.url,
            "LANGFUSE_BASE_URL": others.url,
            "SENTRY_DSN": others.url.replace("://", "://key@") + "/1",
        }
        run_page(page, tmp_path, variables)
        told = sorted((event["runId"], event["stepKey"], event["status"]) for event in failpath.events)
    steps = [("night-1", "import-orders"), ("night-1", "read-the-configuration")]
    steps += [("order-17", "charge-card"), ("order-18", "charge-card"), ("order-19", "charge-card")]
    steps.append(("ticket-4", "ask-the-model"))
    assert told == [(*step, status) for step in steps for status in ("running", "success")]
