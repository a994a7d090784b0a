"""OTLP in protobuf: the outer layers are walked, and each span is parsed on its own: decision 0022."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from failpath_otel import limits
from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.protobuf_shape import shape_of
from failpath_otel.otlp.reading import PLAIN, Reading, ReadSpan
from failpath_otel.otlp.span import (
    EVENTS_READ,
    MAX_DEPTH,
    MAX_LIST_VALUES,
    MAX_SPAN_BYTES,
    MAX_SPANS,
    NO_RESOURCE,
    NO_SCOPE,
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
from failpath_otel.otlp.template import EncodedRecord
from failpath_otel.otlp.varint import read_varint
from failpath_otel.semconv import EXCEPTION_EVENT

_RESOURCE_SPANS: Final = 1
_RESOURCE: Final = 1
_SCOPE_SPANS: Final = 2
_SCOPE: Final = 1
_SPANS: Final = 2

_STEP_KEY_LENGTH: Final = len(STEP_KEY_BYTES)
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_SEVEN_BITS: Final = 0x7F

Part = tuple[int, int]
"""Where a message begins in the body, and where it ends."""
Group = tuple[Part | None, list[tuple[Part | None, list[Part]]]]
"""The spans of one resource: where that is, and of each scope where it is, and where its spans are."""


def spans_in(body: bytes, reading: Reading) -> Iterator[ReadSpan]:
    """Yield the spans of a request in their order, and the numbers of those between them that were passed over.

    Raises ``ValueError``, at once, where the body is no such message, and :class:`TooManySpansError`.
    """
    try:
        groups = Walk(body).groups()
    except (ValueError, IndexError):
        raise ValueError("the body is no ExportTraceServiceRequest") from None
    return _read(body, groups, reading)


class Walk:
    """A walk over the outer layers of a request, which are the same for all signals."""

    def __init__(self, body: bytes) -> None:
        self._body: Final = body
        self._left = MAX_SPANS  # messages of all layers, because an empty one counts too
        self._passed_over = 0

    def groups(self) -> list[Group]:
        """Return where everything is. Raise ``ValueError``, ``IndexError`` or :class:`TooManySpansError`."""
        return [self._group(part) for part in self._parts((0, len(self._body)), _RESOURCE_SPANS)[_RESOURCE_SPANS]]

    def _group(self, part: Part) -> Group:
        found = self._parts(part, _RESOURCE, _SCOPE_SPANS)
        return _last(found[_RESOURCE]), [self._scope(scope) for scope in found[_SCOPE_SPANS]]

    def _scope(self, part: Part) -> tuple[Part | None, list[Part]]:
        found = self._parts(part, _SCOPE, _SPANS)
        return _last(found[_SCOPE]), found[_SPANS]

    def _parts(self, part: Part, *fields: int) -> dict[int, list[Part]]:  # noqa: C901 - a flat loop
        """Return where the messages in these fields are; skip other fields."""
        body = self._body
        found: dict[int, list[Part]] = {field: [] for field in fields}
        at, end = part
        last_tag, last_wanted = -1, found[fields[0]]
        while at < end:
            tag, at = body[at], at + 1
            if tag == last_tag and self._left > 0:
                # The next of many spans, whose sizes have one byte or two.
                size, begin = body[at], at + 1
                if size > _SEVEN_BITS:
                    high, begin = body[begin], begin + 1
                    size = size & _SEVEN_BITS | high << 7 if high <= _SEVEN_BITS else len(body)
                if begin + size <= end:
                    self._left -= 1
                    at = begin + size
                    last_wanted.append((begin, at))
                    continue
            if tag > _SEVEN_BITS:
                tag, at = read_varint(body, at - 1)
            kind = tag & 7
            if kind == _BYTES:
                size, begin = body[at], at + 1
                if size > _SEVEN_BITS:
                    size, begin = read_varint(body, at)
                at = begin + size
                if at <= end and (wanted := found.get(tag >> 3)) is not None:
                    self._left -= 1
                    if self._left < 0:
                        raise TooManySpansError
                    wanted.append((begin, at))
                    last_tag, last_wanted = tag, wanted
                    continue
            else:
                at = _after(body, kind, at)
            self._passed_over += 1
            if self._passed_over > limits.MAX_REQUEST_PARTS:
                raise ValueError
        if at != end:
            raise ValueError
        return found


def _after(body: bytes, kind: int, at: int) -> int:
    """Return where the field ends that begins there and is no message."""
    if kind == _VARINT:
        return read_varint(body, at)[1]
    if kind not in {_FIXED_64, _FIXED_32}:
        raise ValueError
    return at + (8 if kind == _FIXED_64 else 4)


def _last(parts: list[Part]) -> Part | None:
    return parts[-1] if parts else None


def _read(body: bytes, groups: Iterable[Group], reading: Reading) -> Iterator[ReadSpan]:  # noqa: C901, PLR0912 - a flat loop
    budget = ReadingBudget()
    templates = reading.templates
    step_at, key_end, skipped = -1, 0, 0
    nowhere = len(body)
    for place, scopes in groups:
        resource = resource_in(body, place, budget)
        process_text = process_json(resource.process)
        for scope_place, spans in scopes:
            scope = scope_in(body, scope_place)
            for begin, end in spans:
                if step_at < begin:
                    step_at = body.find(STEP_KEY_BYTES, begin)
                    if step_at < 0:
                        step_at = nowhere
                    key_end = step_at + _STEP_KEY_LENGTH
                # Most spans are no steps, and need not be parsed: the next step key is behind their ends.
                if key_end > end and reading.rules is None:
                    skipped += 1
                    continue
                found: OtlpSpan | list[EncodedRecord] | None = None
                if key_end > end:
                    found = _parse(body[begin:end], scope, resource, budget, reading)
                elif templates is None:
                    found = _parse(body[begin:end], scope, resource, budget)
                else:
                    step = body[key_end : key_end + 2 + body[key_end + 1]] if key_end + 1 < end else b""
                    found = templates.records(step, body, begin, end, process_text, budget)
                    if found is None:
                        text = body[begin:end]
                        found = span = _parse(text, scope, resource, budget)
                        templates.learn(step, text, span, shape_of)
                if found is None:
                    skipped += 1
                    continue
                if skipped:
                    yield skipped
                    skipped = 0
                yield found
    if skipped:
        yield skipped


def resource_in(body: bytes, part: Part | None, budget: ReadingBudget) -> OtlpResource:
    """Return the resource there; an empty one if it cannot be read."""
    if part is None or part[1] - part[0] > MAX_SPAN_BYTES:
        return NO_RESOURCE
    try:
        pairs = Resource.FromString(body[part[0] : part[1]]).attributes
        budget.begin(len(pairs))
        return resource_of(attributes_in(pairs, budget))
    except (DecodeError, TooManyPartsError):
        return NO_RESOURCE


def scope_in(body: bytes, part: Part | None) -> Scope:
    """Return the instrumentation scope there; one without a name if it cannot be read."""
    try:
        if part is None or part[1] - part[0] > MAX_SPAN_BYTES:
            return NO_SCOPE
        return Scope(InstrumentationScope.FromString(body[part[0] : part[1]]).name)
    except DecodeError:
        return NO_SCOPE


def _parse(
    text: bytes, scope: Scope, resource: OtlpResource, budget: ReadingBudget, reading: Reading | None = None
) -> OtlpSpan | None:
    """Return a span; ``None`` for one that no rule of *reading* makes a step, where that is given."""
    if len(text) > MAX_SPAN_BYTES:
        return broken_span(f"it is larger than {MAX_SPAN_BYTES} bytes")
    try:
        span = Span.FromString(text)
    except DecodeError:
        return broken_span("it is no span")
    if not (reading is None or reading.is_ruled(scope.name, span.name)):
        return None
    try:
        return _span(span, scope, resource, budget)
    except TooManyPartsError as error:
        return (reading or PLAIN).broken_step(str(error), scope.name, span.name, kind_of(span.kind), text)


def _span(span: Span, scope: Scope, resource: OtlpResource, budget: ReadingBudget) -> OtlpSpan:
    attributes, events = span.attributes, span.events
    event_count = len(events)
    budget.begin(len(attributes) + event_count)
    start_time = span.start_time_unix_nano
    ids, parent, problem = identity_of(span.trace_id, span.span_id, span.parent_span_id, start_time)
    status = span.status
    code = status.code
    return OtlpSpan(
        span.name,
        ids,
        parent,
        start_time,
        span.end_time_unix_nano or None,
        attributes_in(attributes, budget),
        [
            SpanEvent(name, _exception_attributes(event.attributes, budget) if name == EXCEPTION_EVENT else {})
            for event in events
            if (name := event.name) in EVENTS_READ
        ]
        if event_count
        else [],
        status_of(code, status.message) if code else UNSET,
        span.dropped_events_count,
        scope,
        resource,
        problem,
        kind_of(span.kind),
    )


def _exception_attributes(pairs: Collection[KeyValue], budget: ReadingBudget) -> dict[str, Any]:
    budget.take(len(pairs))
    return attributes_in(pairs, budget)


def attributes_in(pairs: Iterable[KeyValue], budget: ReadingBudget) -> dict[str, Any]:
    """Return the attributes by key; the budget has paid for the pairs already, not for what is in their values."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Nearly all values are texts; `WhichOneof` takes longer.
        found[pair.key] = value.string_value or value_of(value, 0, budget)
    return found


def value_of(value: AnyValue, depth: int, budget: ReadingBudget) -> Any:  # noqa: ANN401 - what an attribute can be
    """Return a value, of which the outermost layer is paid for."""
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return value.int_value
    if kind is None or depth > MAX_DEPTH:
        return None
    if kind == "array_value":
        values = value.array_value.values
        budget.take(min(len(values), MAX_LIST_VALUES))
        return tuple(value_of(each, depth + 1, budget) for each in islice(values, MAX_LIST_VALUES))
    if kind == "kvlist_value":
        pairs = value.kvlist_value.values
        budget.take(len(pairs))
        return {pair.key: value_of(pair.value, depth + 1, budget) for pair in pairs}
    return getattr(value, kind)
