"""Log records of OTLP, and requests with them, as JSON and as protobuf."""

import json
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.gateway.requests import JSON
from tests.local.events import EPOCH_NS

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
SPAN: Final = "b7ad6b7169203331"


def value(given: Any) -> dict[str, Any]:
    """A value of OTLP as JSON has it."""
    if isinstance(given, dict):
        return {"kvlistValue": {"values": attributes(given)}}
    if isinstance(given, list):
        return {"arrayValue": {"values": [value(each) for each in given]}}
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return {kinds[type(given)]: given}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(each)} for key, each in given.items()]


def log(
    body: Any = "paid",
    seconds: float = 1,
    *,
    trace: str = TRACE,
    span: str = SPAN,
    severity: Any = 9,
    **fields: Any,
) -> dict[str, Any]:
    """A log record ``seconds`` after the start of the tests' events; ``fields`` add some or change them."""
    named = fields.pop("attributes", {})
    return {
        "timeUnixNano": str(EPOCH_NS + round(seconds * 1e9)),
        "severityNumber": severity,
        "severityText": "INFO",
        "body": value(body),
        "attributes": attributes(named),
        "traceId": trace,
        "spanId": span,
        **fields,
    }


def log_json(*records: dict[str, Any], scope: str = "shop.pay", service: str = "shop") -> dict[str, Any]:
    scoped = {"scope": {"name": scope}, "logRecords": list(records)}
    return {
        "resourceLogs": [{"resource": {"attributes": attributes({"service.name": service})}, "scopeLogs": [scoped]}]
    }


def log_request(*records: dict[str, Any], kind: str = JSON, **names: str) -> bytes:
    """A request with these records."""
    request = log_json(*records, **names)
    return json.dumps(request).encode() if kind == JSON else protobuf_of(request)


def protobuf_of(request: dict[str, Any]) -> bytes:
    message = ParseDict(without_ids(request), ExportLogsServiceRequest())
    for group, sent in zip(message.resource_logs, request["resourceLogs"], strict=True):
        for scoped, own in zip(group.scope_logs, sent["scopeLogs"], strict=True):
            for record, fields in zip(scoped.log_records, own["logRecords"], strict=True):
                record.trace_id = bytes.fromhex(fields.get("traceId", ""))
                record.span_id = bytes.fromhex(fields.get("spanId", ""))
    body: bytes = message.SerializeToString()
    return body


def without_ids(request: Any) -> Any:
    """The request without ids, which protobuf's own JSON has in Base64."""
    if isinstance(request, list):
        return [without_ids(each) for each in request]
    if isinstance(request, dict):
        return {key: without_ids(each) for key, each in request.items() if key not in {"traceId", "spanId"}}
    return request
