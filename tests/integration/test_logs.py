"""The logs of a program under OpenTelemetry's own SDK, sent by its exporters, beside the steps that they are of."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.instrumented import INSTRUMENT, KEY, environment
from tests.receiver import Receiver, start_receiver, wait_for

pytestmark = pytest.mark.process

PROGRAM: Final = """
import logging
import failpath_otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

failpath = failpath_otel.configure()
log = logging.getLogger("shop.bank")
log.setLevel(logging.INFO)
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=GRPC)))
by_grpc = logging.getLogger("shop.ledger")
by_grpc.addHandler(LoggingHandler(logger_provider=provider))
by_grpc.propagate = False

def charge():
    log.info("charging with password=hunter2hunter2", extra={"amount": 30})
    with trace.get_tracer("http").start_as_current_span("POST /charges"):
        log.warning("the bank answers slowly")
    by_grpc.error("booked twice")
    try:
        raise ConnectionError("the bank closed the connection")
    except ConnectionError:
        log.exception("charging failed")

failpath.run("checkout", run_id="order-17").step("charge-card", charge)
log.warning("after the run, in no trace")
provider.shutdown()
"""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "local.db", "--grpc-port", "0") as started:
        yield started


def test_what_a_program_logs_in_a_step_comes_by_http_and_by_grpc_and_is_shown_there(
    receiver: Receiver, tmp_path: Path
) -> None:
    grpc = re.search(r" and by gRPC at (\S+) ", receiver.ready)
    assert grpc
    done = subprocess.run(
        [str(INSTRUMENT), sys.executable, "-c", PROGRAM.replace("GRPC", repr(grpc[1]))],
        env=environment(
            tmp_path / "journal",
            FAILPATH_PROJECT_KEY=KEY,
            FAILPATH_DEV_ENDPOINT=receiver.url,
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def logs() -> list[dict[str, Any]]:
        answer = receiver.request("/api/page/logs/order-17")
        found: list[dict[str, Any]] = answer.json()["logs"] if answer.status == 200 else []
        # The spans, by which it is known what lies below a step, may come last.
        return found if len(found) == 4 and found[1]["relation"] != "during" else []

    found = wait_for(logs)
    assert [(each["severity"], each["relation"], each["body"]) for each in found] == [
        ("info", "span", "charging with password=[redacted]"),
        ("warn", "below", "the bank answers slowly"),
        ("error", "span", "booked twice"),
        ("error", "span", "charging failed"),
    ]
    assert {each["stepKey"] for each in found} == {"charge-card"}
    details = receiver.request(f"/api/page/log/{found[3]['id']}").json()
    assert details["error"]["name"] == "ConnectionError"
    assert "ConnectionError: the bank closed the connection" in details["error"]["stack"]
    assert receiver.request(f"/api/page/log/{found[0]['id']}").json()["attributes"]["amount"] == 30
    metrics = receiver.request("/metrics").body.decode()
    assert 'failpath_log_records_total{outcome="ignored"} 1.0' in metrics
    assert 'failpath_requests_total{code="OK",protocol="grpc",signal="logs"} 1.0' in metrics
