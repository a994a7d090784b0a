"""The messages of OTLP for logs, in protobuf and JSON: the records of a request, and the responses."""

from collections.abc import Iterator

import msgspec

from failpath_otel.otlp.http_messages import JSON, response
from failpath_otel.otlp.logs.record import ReadLog


def logs_in(body: bytes, media_type: str) -> Iterator[ReadLog]:
    """Yield the records of a request in their order, and the numbers of those between them that have no trace.

    Raises ``ValueError``, at once and not while the records are taken, where the body holds none, and
    :class:`~failpath_otel.otlp.span.TooManySpansError`.
    """
    if media_type == JSON:
        # Imported on use: most senders use one of the two encodings.
        from failpath_otel.otlp.logs import json as logs_json  # noqa: PLC0415

        return logs_json.logs_in(body)
    from failpath_otel.otlp.logs import protobuf  # noqa: PLC0415

    return protobuf.logs_in(body)


def logs_response(media_type: str, rejected: int = 0, reason: str = "") -> bytes:
    """Return an ``ExportLogsServiceResponse``, with rejected records where there are any."""
    if media_type == JSON and (rejected or reason):
        return msgspec.json.encode({"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": reason}})
    # In protobuf it is that of traces, field by field.
    return response(media_type, rejected, reason)
