"""Spans as ddtrace sends them to its agent, in version 0.4 of that protocol."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tests.fault_server import Request
from tests.neighbours.seen import Seen

_CHANGING: Final = ("_dd.", "runtime-id", "error.stack")


def read_datadog(requests: Sequence[Request]) -> list[Seen]:
    """All spans."""
    return [
        Seen(
            span["resource"],
            span["span_id"],
            span.get("parent_id"),
            {"service": span["service"], "operation": span["name"], "error": span.get("error", 0), **_meta(span)},
            ours=any(key.startswith("failpath.") for key in span.get("meta", {})),
        )
        for request in requests
        if request.path == "/v0.4/traces"
        for trace in msgspec.msgpack.decode(request.body)
        for span in trace
    ]


def _meta(span: dict[str, dict[str, str]]) -> dict[str, str]:
    return {key: value for key, value in span.get("meta", {}).items() if not key.startswith(_CHANGING)}
