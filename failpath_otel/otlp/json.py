"""OTLP in JSON: the JSON mapping of proto3 with hexadecimal ids, as the OTLP specification defines it.

As in :mod:`failpath_otel.otlp.protobuf`, each span is parsed on its own: decision 0022.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.json_shape import shape_of
from failpath_otel.otlp.reading import Reading, ReadSpan
from failpath_otel.otlp.span import (
    EVENTS_READ,
    MAX_SPAN_BYTES,
    MAX_SPANS,
    STEP_KEY_BYTES,
    UNSET,
    OtlpResource,
    OtlpSpan,
    Scope,
    SpanEvent,
    TooManySpansError,
    broken_span,
    identity_of,
    kind_of,
    process_json,
    status_of,
)
from failpath_otel.otlp.surrogates import whole_surrogates
from failpath_otel.otlp.template import EncodedRecord
from failpath_otel.otlp.values.json_values import (
    Integer,
    KeyValue,
    Message,
    ResourceMessage,
    ScopeMessage,
    attributes_in,
    bytes_of,
    mapping_in,
    resource_in,
    uint64_of,
)
from failpath_otel.semconv import EXCEPTION_EVENT, STEP_KEY

_MAX_ID_CHARS: Final = 100
MAX_OBJECTS: Final = 10 * MAX_SPANS
_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Event(Message):
    name: str | None = None
    attributes: list[KeyValue] | None = None


class _Status(Message):
    code: Integer | None = None
    message: str | None = None


class _Span(Message):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: Any = None  # whatever it is, it must not cost the span
    start_time_unix_nano: Integer | None = None
    end_time_unix_nano: Integer | None = None
    attributes: list[KeyValue] | None = None
    events: list[_Event] | None = None
    dropped_events_count: Integer | None = None
    status: _Status | None = None


class _ScopeSpans(Message):
    scope: ScopeMessage | None = None
    spans: list[msgspec.Raw] | None = None


class _Empty(Message):
    pass


class _ScopeMessages(Message):
    spans: list[_Empty] | None = None


class _ResourceSpans(Message):
    resource: ResourceMessage | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(Message):
    resource_spans: list[_ResourceSpans] | None = None


class _ResourceMessages(Message):
    scope_spans: list[_ScopeMessages] | None = None


class _Messages(Message):
    """A request whose structure is checked, and nothing of it kept."""

    resource_spans: list[_ResourceMessages] | None = None


_check: Final = msgspec.json.Decoder(_Messages).decode
_decode: Final = msgspec.json.Decoder(_Request).decode
_decode_span: Final = msgspec.json.Decoder(_Span).decode


def spans_in(body: bytes, reading: Reading) -> Iterator[ReadSpan]:
    """Yield the spans of a request in their order, and the numbers of those between them that were passed over.

    Raises ``ValueError``, at once, where the body is no such message, and :class:`TooManySpansError`.
    """
    if body.count(b"{") > MAX_OBJECTS:
        raise TooManySpansError
    try:
        try:
            groups = _groups(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # msgspec refuses half a surrogate pair, which `JSON.stringify` writes for a text that was cut.
            groups = _groups(whole_surrogates(body))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"the body is no ExportTraceServiceRequest: {str(error)[:200]}") from None
    if sum(len(spans.spans or ()) for group in groups for spans in group.scope_spans or ()) > MAX_SPANS:
        raise TooManySpansError
    return _read(groups, reading)


def _groups(body: bytes) -> list[_ResourceSpans]:
    # A span that is no object has no brace that was counted, and would be kept until it is read.
    if body.count(b",") > MAX_OBJECTS:
        _check(body)
    return _decode(body).resource_spans or []


def _read(groups: list[_ResourceSpans], reading: Reading) -> Iterator[ReadSpan]:  # noqa: C901 - a flat loop
    budget = ReadingBudget()
    skipped = 0
    for group in groups:
        resource = resource_in(group.resource, budget)
        process_text = process_json(resource.process)
        for spans in group.scope_spans or ():
            scope = Scope((spans.scope.name or "") if spans.scope else "")
            for raw in spans.spans or ():
                text = bytes(raw)
                at = text.find(STEP_KEY_BYTES)
                # Most spans are no steps, and need not be parsed. An escape can stand for any character.
                if at < 0 and reading.rules is None and b"\\u" not in text:
                    skipped += 1
                    continue
                found: OtlpSpan | list[EncodedRecord] | None = None
                step = text[at : text.find(b"}", at)]
                if reading.templates is not None and at >= 0:
                    found = reading.templates.records(step, text, 0, len(text), process_text, budget)
                if found is None:
                    found = span = _parse(text, scope, resource, budget, reading)
                    if reading.templates is not None and at >= 0:
                        reading.templates.learn(step, text, span, shape_of)
                if found is None:
                    skipped += 1
                    continue
                if skipped:
                    yield skipped
                    skipped = 0
                yield found
    if skipped:
        yield skipped


def _parse(
    text: bytes, scope: Scope, resource: OtlpResource, budget: ReadingBudget, reading: Reading
) -> OtlpSpan | None:
    """Return a span; ``None`` for one that is no step, where that is plain."""
    if len(text) > MAX_SPAN_BYTES:
        return broken_span(f"it is larger than {MAX_SPAN_BYTES} bytes")
    try:
        span = _decode_span(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return broken_span(f"it is no span: {str(error)[:200]}")
    if STEP_KEY_BYTES not in text and b"\\u" not in text and not reading.is_ruled(scope.name, span.name or ""):
        return None
    try:
        found = _span(span, scope, resource, budget)
    except TooManyPartsError as error:
        return reading.broken_step(str(error), scope.name, span.name or "", kind_of(span.kind), text)
    return found if reading.rules is not None or STEP_KEY in found.attributes else None


def _span(span: _Span, scope: Scope, resource: OtlpResource, budget: ReadingBudget) -> OtlpSpan:
    attributes, events = span.attributes or [], span.events or []
    budget.begin(len(attributes) + len(events))
    start_time = uint64_of(span.start_time_unix_nano)
    ids, parent, problem = identity_of(_id(span.trace_id), _id(span.span_id), _id(span.parent_span_id), start_time)
    if problem:
        problem = _form_problem("trace id", span.trace_id, 32) or _form_problem("span id", span.span_id, 16) or problem
    status = span.status
    return OtlpSpan(
        span.name or "",
        ids,
        parent,
        start_time,
        uint64_of(span.end_time_unix_nano) or None,
        attributes_in(attributes, budget),
        [
            SpanEvent(event.name, mapping_in(event.attributes, budget) if event.name == EXCEPTION_EVENT else {})
            for event in events
            if event.name is not None and event.name in EVENTS_READ
        ],
        UNSET if status is None else status_of(_code(status.code), status.message or ""),
        uint64_of(span.dropped_events_count),
        scope,
        resource,
        problem,
        kind_of(span.kind),
    )


def _id(text: str | None) -> bytes:
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        return b""


def _form_problem(what: str, text: str | None, digits: int) -> str:
    """Return what is wrong with the form of an id, where its length does not say it; empty if nothing is."""
    if not text or _id(text):
        return ""
    decoded = bytes_of(text[:_MAX_ID_CHARS])
    # The JSON mapping of protobuf has Base64, and OTLP an exception for ids, which some senders overlook.
    is_base64 = isinstance(decoded, bytes) and len(decoded) == digits // 2
    form = "in Base64" if is_base64 else "no hexadecimal number"
    return f"its {what} is {form}: JSON has {digits} hexadecimal digits"


def _code(value: Integer | None) -> int:
    known = _CODES.get(value) if isinstance(value, str) else None
    return uint64_of(value) if known is None else known
