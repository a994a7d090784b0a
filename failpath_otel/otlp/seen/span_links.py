"""The links between spans in a request of OTLP: of each span with a parent the ids of both, and of their trace."""

from collections.abc import Iterator
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from failpath_otel.otlp.http_messages import JSON
from failpath_otel.otlp.protobuf import Walk
from failpath_otel.otlp.span import MAX_SPANS, SPAN_ID_BYTES, TRACE_ID_BYTES

_TRACE_CHARS: Final = 2 * TRACE_ID_BYTES
_SPAN_CHARS: Final = 2 * SPAN_ID_BYTES

# A span in protobuf begins with its ids: those of the trace and the span, the state of the trace, the parent's.
_TRACE_HEAD: Final = b"\x0a\x10"
_SPAN_HEAD: Final = b"\x12\x08"
_PARENT_HEAD: Final = b"\x22\x08"
_STATE_TAG: Final = 0x1A
_SHORT: Final = 0x80


class _Link(msgspec.Struct, rename="camel", gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None


class _Spans(msgspec.Struct, rename="camel", gc=False):
    spans: list[_Link] | None = None


class _Group(msgspec.Struct, rename="camel", gc=False):
    scope_spans: list[_Spans] | None = None


class _Request(msgspec.Struct, rename="camel", gc=False):
    resource_spans: list[_Group] | None = None


_decode: Final = msgspec.json.Decoder(_Request).decode

Link = tuple[str, str, str]
"""The ids of a trace, of a span in it, and of that span's parent."""


def links_in(body: bytes, media_type: str) -> Iterator[Link]:
    """Yield the links in a body. Raises ``ValueError``, ``IndexError``, ``RecursionError`` for an unreadable one."""
    try:
        yield from _json_links(body) if media_type == JSON else _protobuf_links(body)
    except (DecodeError, msgspec.DecodeError) as error:
        raise ValueError(str(error)) from None


def _protobuf_links(body: bytes) -> Iterator[Link]:
    for _, scopes in Walk(body).groups():
        for _, spans in scopes:
            for begin, end in spans:
                link = _link_in(body, begin, end)
                if link is not None:
                    yield link


def _link_in(body: bytes, begin: int, end: int) -> Link | None:
    """Return the link of a span whose fields are in their usual order."""
    span = begin + len(_TRACE_HEAD) + TRACE_ID_BYTES
    at = span + len(_SPAN_HEAD) + SPAN_ID_BYTES
    if not (body.startswith(_TRACE_HEAD, begin) and body.startswith(_SPAN_HEAD, span)):
        return None
    if at + 1 < end and body[at] == _STATE_TAG and body[at + 1] < _SHORT:
        at += 2 + body[at + 1]
    parent = at + len(_PARENT_HEAD)
    if not body.startswith(_PARENT_HEAD, at) or parent + SPAN_ID_BYTES > end:
        return None
    return (
        body[begin + len(_TRACE_HEAD) : span].hex(),
        body[span + len(_SPAN_HEAD) : span + len(_SPAN_HEAD) + SPAN_ID_BYTES].hex(),
        body[parent : parent + SPAN_ID_BYTES].hex(),
    )


def _json_links(body: bytes) -> Iterator[Link]:
    if body.count(b"{") > 10 * MAX_SPANS or body.count(b",") > 20 * MAX_SPANS:
        return
    for group in _decode(body).resource_spans or ():
        for spans in group.scope_spans or ():
            for span in spans.spans or ():
                trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
                if not (trace_id and span_id and parent_id):
                    continue
                if len(trace_id) == _TRACE_CHARS and len(span_id) == len(parent_id) == _SPAN_CHARS:
                    yield trace_id.lower(), span_id.lower(), parent_id.lower()
