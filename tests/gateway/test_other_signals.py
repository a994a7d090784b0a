"""Metrics and logs: a sender learns how to send none, or they are taken and discarded within the usual bounds."""

import gzip
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess

from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.serving.other_signals import SIGNALS, OtherSignals
from tests.fault_server import FaultServer
from tests.gateway.apps import App, gateway_app
from tests.gateway.requests import JSON, PROTOBUF

TOKEN: Final = "a-long-token"
OWN: Final = {"Authorization": f"Bearer {TOKEN}"}
RESPONSES: Final[dict[str, Any]] = {"metrics": ExportMetricsServiceResponse, "logs": ExportLogsServiceResponse}


@pytest.fixture
def refusing(server: FaultServer, tmp_path: Path) -> Iterator[App]:
    with gateway_app(server.url, tmp_path) as app:
        yield app


@pytest.fixture
def accepting(server: FaultServer, tmp_path: Path) -> Iterator[App]:
    with gateway_app(server.url, tmp_path, TOKEN, signals=OtherSignals(SIGNALS)) as app:
        yield app


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_refusal_is_a_status_that_names_the_variable_after_which_no_sdk_sends_again(
    refusing: App, caplog: pytest.LogCaptureFixture, signal: str, kind: str
) -> None:
    for _ in range(2):
        reply = refusing.client.post(f"/v1/{signal}", content=b"anything", headers={"Content-Type": kind})
    assert (reply.status_code, reply.headers["content-type"]) == (404, kind)
    if kind == JSON:
        code, message = reply.json()["code"], reply.json()["message"]
    else:  # the first two fields of `google.rpc.Status`
        status = ExportTracePartialSuccess.FromString(reply.content)
        code, message = status.rejected_spans, status.error_message
    assert code == 12
    assert f"set OTEL_{signal.upper()}_EXPORTER=none" in message
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len([line for line in lines if f"OTEL_{signal.upper()}_EXPORTER=none" in line]) == 1
    health = refusing.client.get("/healthz").json()
    assert health["other_signals"][signal] == {"discarded": 0, "refused": 2}
    assert health["unknown_routes"] == 0
    assert health["spans"]["refused"] == 0


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_accepted_is_answered_as_by_any_receiver_and_counted(accepting: App, signal: str) -> None:
    body = gzip.compress(b"anything")
    headers = {**OWN, "Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
    reply = accepting.client.post(f"/v1/{signal}", content=body, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, PROTOBUF)
    assert not RESPONSES[signal].FromString(reply.content).HasField("partial_success")
    reply = accepting.client.post(f"/v1/{signal}", content=b"{}", headers={**OWN, "Content-Type": JSON})
    assert (reply.status_code, reply.json()) == (200, {})
    health = accepting.client.get("/healthz", headers=OWN).json()
    assert health["other_signals"][signal] == {"discarded": 2, "refused": 0}


def test_what_is_accepted_is_held_to_token_size_type_and_coding(accepting: App) -> None:
    def post(body: bytes, **headers: str) -> int:
        named = {**OWN, "Content-Type": PROTOBUF, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return int(accepting.client.post("/v1/logs", content=body, headers=named).status_code)

    assert post(b"") == 200
    assert post(b"", Authorization="Bearer another-token") == 401
    assert post(b"", Content_Type="text/plain") == 415
    assert post(b"", Content_Encoding="br") == 415
    assert post(b"", Origin="http://shop.example") == 403
    assert post(bytes(MAX_BODY_BYTES)) == 200
    assert post(bytes(MAX_BODY_BYTES + 1)) == 413
    assert accepting.client.get("/v1/logs", headers=OWN).status_code == 405
    assert accepting.client.get("/healthz", headers=OWN).json()["other_signals"]["logs"]["discarded"] == 2
