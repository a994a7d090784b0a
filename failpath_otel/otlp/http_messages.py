"""The messages of OTLP/HTTP for traces, in protobuf and JSON: the spans of a request, and the responses."""

from collections.abc import Iterator
from typing import Final

import msgspec

from failpath_otel.otlp.reading import PLAIN, Reading, ReadSpan
from failpath_otel.otlp.span import TooManySpansError as TooManySpansError

ROUTE: Final = "/v1/traces"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MEDIA_TYPES: Final = (PROTOBUF, JSON, "application/protobuf")
"""Those of requests. The last is registered for protobuf, some senders use it, and OTLP does not name it."""

_INVALID_ARGUMENT: Final = 3
_CODES: Final = {404: 12, 405: 12, 413: 8, 500: 13, 503: 14}
"""By the status of the response: UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE of ``google.rpc.Code``."""


def spans_in(body: bytes, media_type: str, reading: Reading = PLAIN) -> Iterator[ReadSpan]:
    """Yield the spans of a request in their order, and the numbers of those between them that were passed over.

    Raises ``ValueError``, at once and not while the spans are taken, where the body holds none, and
    :class:`TooManySpansError`.
    """
    if reading.watch is not None:
        reading.watch(body, media_type)
    if media_type == JSON:
        # Imported on use, here and below: it takes a while, and most senders use one of the two encodings.
        from failpath_otel.otlp import json as otlp_json  # noqa: PLC0415

        return otlp_json.spans_in(body, reading)
    from failpath_otel.otlp import protobuf  # noqa: PLC0415

    return protobuf.spans_in(body, reading)


def response(media_type: str, rejected: int = 0, reason: str = "") -> bytes:
    """Return an ``ExportTraceServiceResponse``: with rejected spans, or with a reason alone, which is a warning."""
    if not (rejected or reason):
        return b"{}" if media_type == JSON else b""
    if media_type == JSON:
        return msgspec.json.encode({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": reason}})
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: PLC0415

    partial_success = service.ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
    body: bytes = service.ExportTraceServiceResponse(partial_success=partial_success).SerializeToString()
    return body


def refusal(media_type: str, status_code: int, reason: str) -> bytes:
    """Return a ``google.rpc.Status``, which the specification demands of every answer that is no success."""
    code = _CODES.get(status_code, _INVALID_ARGUMENT)
    if media_type == JSON:
        return msgspec.json.encode({"code": code, "message": reason})
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess  # noqa: PLC0415

    # `Status` is in another package, and begins with the same two fields: a number, a text.
    body: bytes = ExportTracePartialSuccess(rejected_spans=code, error_message=reason).SerializeToString()
    return body
