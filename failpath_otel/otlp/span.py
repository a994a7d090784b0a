"""A span of OTLP, with the attributes of an SDK span that the translation reads.

An SDK span takes ten times as long to make, for locks and bounds that are not needed here.
"""

from functools import lru_cache
from typing import Any, Final, cast

import msgspec
from opentelemetry.trace import SpanKind, StatusCode

from failpath_otel import limits
from failpath_otel.records.record import ProcessInfo, encode_json
from failpath_otel.scrubbing.values import text_of
from failpath_otel.semconv import EXCEPTION_EVENT, STEP_EVENTS, STEP_KEY

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
EVENTS_READ: Final = frozenset({*STEP_EVENTS, EXCEPTION_EVENT})
"""Names of the span events that the translation reads; others are skipped."""

MAX_SPAN_BYTES: Final = 1_048_576
"""The largest span that is read, in encoded bytes."""

STEP_KEY_BYTES: Final = STEP_KEY.encode()
"""A span whose bytes do not contain these has no step key, unless they are escaped."""

MAX_DEPTH: Final = 32
"""How deep values of attributes are read."""

MAX_SPANS: Final = 100_000
"""The most spans of one request, or messages of any kind around them."""

MAX_LIST_VALUES: Final = limits.MAX_METADATA_ITEMS + 1
"""The values of a list that are read: one more than metadata keeps, which then notes that some are missing."""

_MAX_HOST_CHARS: Final = 255
_MAX_TIME_CHARS: Final = 64
_MAX_PID: Final = 1 << 32


class SpanIds(msgspec.Struct, frozen=True, gc=False):
    """The two ids, in place of a span context."""

    trace_id: int
    span_id: int


class SpanEvent(msgspec.Struct, frozen=True, gc=False):
    """A span event; events of the lifecycle have no attributes here."""

    name: str
    attributes: dict[str, Any]


class SpanStatus(msgspec.Struct, frozen=True, gc=False):
    """A span status."""

    status_code: StatusCode
    description: str | None = None


class Scope(msgspec.Struct, frozen=True, gc=False):
    """An instrumentation scope."""

    name: str


class OtlpResource(msgspec.Struct, frozen=True, gc=False):
    """What a resource says: its attributes, and the process, where they name one."""

    attributes: dict[str, Any]
    process: ProcessInfo | None


NO_RESOURCE: Final = OtlpResource({}, None)


class OtlpSpan(msgspec.Struct, gc=False):
    """A span that came by OTLP; a ``problem`` says why no record can be made of it."""

    name: str
    context: SpanIds
    parent: SpanIds | None
    start_time: int
    end_time: int | None
    attributes: dict[str, Any]
    events: list[SpanEvent]
    status: SpanStatus
    dropped_events: int
    instrumentation_scope: Scope
    resource: OtlpResource
    problem: str
    kind: SpanKind = SpanKind.INTERNAL

    @property
    def process(self) -> ProcessInfo | None:
        """The process of its resource, where that names one."""
        return self.resource.process

    def get_span_context(self) -> SpanIds:
        """Return the two ids."""
        return self.context


UNSET: Final = SpanStatus(StatusCode.UNSET)
OK: Final = SpanStatus(StatusCode.OK)
OK_CODE: Final = 1
_ERROR_CODE: Final = 2
_KINDS: Final[dict[int | str, SpanKind]] = {
    key: kind for kind in SpanKind for key in (kind.value + 1, str(kind.value + 1), f"SPAN_KIND_{kind.name}")
}
NO_IDS: Final = SpanIds(0, 0)
NO_SCOPE: Final = Scope("")


class TooManySpansError(Exception):
    """A request has more than :data:`MAX_SPANS`, or so many of what another signal has."""

    def __init__(self, what: str = "spans") -> None:
        super().__init__(f"there are more than {MAX_SPANS} {what} in the body")


def broken_span(problem: str) -> OtlpSpan:
    """Return a step that could not be read."""
    return OtlpSpan("", NO_IDS, None, 0, None, {STEP_KEY: ""}, [], UNSET, 0, NO_SCOPE, NO_RESOURCE, problem)


def kind_of(number: object) -> SpanKind:
    """Return the span kind for its number or its name in OTLP; anything else is ``INTERNAL``."""
    return _KINDS.get(number, SpanKind.INTERNAL) if isinstance(number, (int, str)) else SpanKind.INTERNAL


def status_of(code: int, message: str) -> SpanStatus:
    """Return the status for its number in OTLP; an unknown number is unset."""
    if code == _ERROR_CODE:
        return SpanStatus(StatusCode.ERROR, message)
    return OK if code == OK_CODE else UNSET


def identity_of(
    trace_id: bytes, span_id: bytes, parent_id: bytes, start_time: int
) -> tuple[SpanIds, SpanIds | None, str]:
    """Return a span's ids, its parent if it has a valid one, and why the span cannot be used; empty if it can."""
    problem = _problem(trace_id, span_id, start_time)
    trace_number = 0 if problem else int.from_bytes(trace_id, "big")
    ids = NO_IDS if problem else SpanIds(trace_number, int.from_bytes(span_id, "big"))
    parent_number = int.from_bytes(parent_id, "big") if len(parent_id) == SPAN_ID_BYTES else 0
    return ids, SpanIds(trace_number, parent_number) if parent_number else None, problem


def _problem(trace_id: bytes, span_id: bytes, start_time: int) -> str:
    if len(trace_id) != TRACE_ID_BYTES:
        return _wrong_length("trace id", trace_id, TRACE_ID_BYTES)
    if len(span_id) != SPAN_ID_BYTES:
        return _wrong_length("span id", span_id, SPAN_ID_BYTES)
    if not any(trace_id):
        return "its trace id is zero"
    if not any(span_id):
        return "its span id is zero"
    return "" if start_time else "it has no start time"


def _wrong_length(what: str, given: bytes, expected: int) -> str:
    if not given:
        return f"it has no {what}"
    text = given.isascii() and given.decode().isprintable()
    # Twice as many digits: some senders put the hexadecimal text into the field for bytes.
    form = ", and looks like a text: protobuf has the bytes themselves" if text and len(given) > expected else ""
    return f"its {what} has {len(given)} bytes, not {expected}{form}"


def process_json(process: ProcessInfo | None) -> str:
    """Return what :func:`resource_of` has encoded; empty for no process."""
    return "" if process is None else bytes(cast("msgspec.Raw", process)).decode()


def resource_of(attributes: dict[str, Any]) -> OtlpResource:
    """Return a resource with these attributes."""
    return OtlpResource(attributes, _process_of(attributes))


def _process_of(resource: dict[str, Any]) -> ProcessInfo | None:
    """Return the process that a resource names by pid and host, encoded once for all of its records."""
    pid, host = resource.get("process.pid"), resource.get("host.name")
    created = resource.get("process.creation.time")
    if type(pid) is not int or not 0 < pid < _MAX_PID or type(host) is not str or not host:
        return None
    return _encoded(pid, host[:_MAX_HOST_CHARS], created[:_MAX_TIME_CHARS] if type(created) is str else None)


@lru_cache(maxsize=1_024)
def _encoded(pid: int, host: str, created: str | None) -> ProcessInfo:
    process = ProcessInfo(pid, text_of(host, _MAX_HOST_CHARS), None if created is None else text_of(created, 64))
    return cast("ProcessInfo", msgspec.Raw(encode_json(process)))
