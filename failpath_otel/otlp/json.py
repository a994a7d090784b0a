"""OTLP in JSON: the JSON mapping of proto3 with hexadecimal ids, as the OTLP specification defines it.

As in :mod:`failpath_otel.otlp.protobuf`, each span is parsed on its own: decision 0022.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.json_shape import shape_of
from failpath_otel.otlp.reading import Reading, ReadSpan
from failpath_otel.otlp.span import (
    EVENTS_READ,
    MAX_DEPTH,
    MAX_LIST_VALUES,
    MAX_SPAN_BYTES,
    MAX_SPANS,
    NO_RESOURCE,
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
    resource_of,
    status_of,
)
from failpath_otel.otlp.surrogates import whole_surrogates
from failpath_otel.otlp.template import EncodedRecord
from failpath_otel.semconv import EXCEPTION_EVENT, STEP_KEY

_MAX_UINT64: Final = (1 << 64) - 1
_MAX_DIGITS: Final = 40
_MAX_ID_CHARS: Final = 100
_MAX_OBJECTS: Final = 10 * MAX_SPANS
_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_Integer = int | str
"""Integers of 64 bits are texts; a number is taken too."""


class _Struct(msgspec.Struct, rename="camel", gc=False):
    """A message: every field may be missing or ``null``, and unknown fields are ignored."""


class _Array(_Struct):
    values: "list[_AnyValue] | None" = None


class _Mapping(_Struct):
    values: "list[_KeyValue] | None" = None


class _AnyValue(_Struct):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Integer | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Mapping | None = None
    bytes_value: str | None = None


class _KeyValue(_Struct):
    key: str | None = None
    value: _AnyValue | None = None


class _Event(_Struct):
    name: str | None = None
    attributes: list[_KeyValue] | None = None


class _Status(_Struct):
    code: _Integer | None = None
    message: str | None = None


class _Span(_Struct):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: Any = None  # whatever it is, it must not cost the span
    start_time_unix_nano: _Integer | None = None
    end_time_unix_nano: _Integer | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Event] | None = None
    dropped_events_count: _Integer | None = None
    status: _Status | None = None


class _Scope(_Struct):
    name: str | None = None


class _ScopeSpans(_Struct):
    scope: _Scope | None = None
    spans: list[msgspec.Raw] | None = None


class _Message(_Struct):
    pass


class _ScopeMessages(_Struct):
    spans: list[_Message] | None = None


class _Resource(_Struct):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(_Struct):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(_Struct):
    resource_spans: list[_ResourceSpans] | None = None


class _ResourceMessages(_Struct):
    scope_spans: list[_ScopeMessages] | None = None


class _Messages(_Struct):
    """A request whose structure is checked, and nothing of it kept."""

    resource_spans: list[_ResourceMessages] | None = None


_check: Final = msgspec.json.Decoder(_Messages).decode
_decode: Final = msgspec.json.Decoder(_Request).decode
_decode_span: Final = msgspec.json.Decoder(_Span).decode


def spans_in(body: bytes, reading: Reading) -> Iterator[ReadSpan]:
    """Yield the spans of a request in their order, and the numbers of those between them that were passed over.

    Raises ``ValueError``, at once, where the body is no such message, and :class:`TooManySpansError`.
    """
    if body.count(b"{") > _MAX_OBJECTS:
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
    if body.count(b",") > _MAX_OBJECTS:
        _check(body)
    return _decode(body).resource_spans or []


def _read(groups: list[_ResourceSpans], reading: Reading) -> Iterator[ReadSpan]:  # noqa: C901 - a flat loop
    budget = ReadingBudget()
    skipped = 0
    for group in groups:
        resource = _resource(group.resource, budget)
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


def _resource(resource: _Resource | None, budget: ReadingBudget) -> OtlpResource:
    pairs = [] if resource is None else resource.attributes or []
    try:
        budget.begin(len(pairs))
        return resource_of(_attributes(pairs, budget))
    except TooManyPartsError:
        return NO_RESOURCE


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
    start_time = _uint64(span.start_time_unix_nano)
    ids, parent, problem = identity_of(_id(span.trace_id), _id(span.span_id), _id(span.parent_span_id), start_time)
    if problem:
        problem = _form_problem("trace id", span.trace_id, 32) or _form_problem("span id", span.span_id, 16) or problem
    status = span.status
    return OtlpSpan(
        span.name or "",
        ids,
        parent,
        start_time,
        _uint64(span.end_time_unix_nano) or None,
        _attributes(attributes, budget),
        [
            SpanEvent(event.name, _mapping(event.attributes, budget) if event.name == EXCEPTION_EVENT else {})
            for event in events
            if event.name is not None and event.name in EVENTS_READ
        ],
        UNSET if status is None else status_of(_code(status.code), status.message or ""),
        _uint64(span.dropped_events_count),
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
    decoded = _bytes(text[:_MAX_ID_CHARS])
    # The JSON mapping of protobuf has Base64, and OTLP an exception for ids, which some senders overlook.
    is_base64 = isinstance(decoded, bytes) and len(decoded) == digits // 2
    form = "in Base64" if is_base64 else "no hexadecimal number"
    return f"its {what} is {form}: JSON has {digits} hexadecimal digits"


def _uint64(value: _Integer | None) -> int:
    """Return an unsigned number of 64 bits; 0 for anything else."""
    number = _int(value)
    return number if isinstance(number, int) and 0 <= number <= _MAX_UINT64 else 0


def _code(value: _Integer | None) -> int:
    known = _CODES.get(value) if isinstance(value, str) else None
    return _uint64(value) if known is None else known


def _int(value: _Integer | None) -> _Integer | None:
    """Return the number in a text; a text without one stays as it is."""
    try:
        # Parsing digits takes the square of their number: a long text would block all other requests.
        return int(value) if isinstance(value, str) and len(value) <= _MAX_DIGITS else value
    except ValueError:
        return value


def _mapping(pairs: list[_KeyValue] | None, budget: ReadingBudget, depth: int = 0) -> dict[str, Any]:
    budget.take(len(pairs or ()))
    return _attributes(pairs or (), budget, depth)


def _attributes(pairs: Iterable[_KeyValue], budget: ReadingBudget, depth: int = 0) -> dict[str, Any]:
    """Return the attributes by key; the budget has paid for the pairs already, not for what is in their values."""
    return {pair.key or "": None if pair.value is None else _value(pair.value, depth, budget) for pair in pairs}


def _value(value: _AnyValue, depth: int, budget: ReadingBudget) -> Any:  # noqa: ANN401, PLR0911 - what an attribute can be; a case each
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _int(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return _double(value.double_value)
    if value.bytes_value is not None:
        return _bytes(value.bytes_value)
    if depth > MAX_DEPTH:
        return None
    if value.array_value is not None:
        values = value.array_value.values or ()
        budget.take(min(len(values), MAX_LIST_VALUES))
        return tuple(_value(each, depth + 1, budget) for each in islice(values, MAX_LIST_VALUES))
    if value.kvlist_value is not None:
        return _mapping(value.kvlist_value.values, budget, depth + 1)
    return None


def _double(value: float | str) -> float | str:
    """Return the number; ``NaN`` and the infinities come as texts."""
    try:
        return float(value)
    except ValueError:
        return value


def _bytes(text: str) -> bytes | str:
    """Decode Base64, also in the alphabet for URLs, with or without padding."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return text
