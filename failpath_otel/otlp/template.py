"""The template of a shape of spans: a pattern of their bytes, and their records with places for what differs."""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from failpath_otel import limits, semconv
from failpath_otel.otlp.slots import (
    END,
    METADATA,
    PARENT,
    PARENT_STEP,
    RUN,
    SPAN,
    START,
    TRACE,
    Heads,
    Piece,
    Slot,
    UnusualSpanError,
    encoder_of,
)
from failpath_otel.records.record import Record, encode, record_id, rfc3339

EncodedRecord = tuple[str, bytes]
"""The time of a record, by which records are sorted, and the record as it is sent."""

Template = Callable[[bytes, int, int, str], list[EncodedRecord] | None]
"""Returns the records of the span between two places of a body, whose process is that JSON; ``None``: of another shape.

Raises :class:`UnusualSpanError` and ``ValueError``.
"""

_PAIR: Final = 2
_NO_IDS: Final = frozenset({"0" * 32, "0" * 16})
_VALUES: Final = ("trace_id", "span_id", "started_at", "ended_at", "duration_ms", "process", "first", "last")
_BARE: Final = ("duration_ms", "process")
_PLACE: Final = re.compile(r'"@(\w+)@"')


def new_template(pieces: Sequence[Piece], span: bytes, process: str, records: Sequence[Record]) -> Template:
    """Return the template of the shape of a span, whose records the walk has made.

    Raises :class:`UnusualSpanError` if it would not give the same records.
    """
    slots = [piece for piece in pieces if isinstance(piece, Slot)]
    kinds = [slot.kind for slot in slots]
    is_plain = all(kinds.count(kind) == 1 for kind in (TRACE, SPAN, START)) and kinds.count(METADATA) == len(
        {slot.key for slot in slots if slot.kind == METADATA}
    )
    if not is_plain or not 1 <= len(records) <= _PAIR or kinds.count(METADATA) > limits.MAX_METADATA_KEYS:
        raise UnusualSpanError
    template = _filling(_matching(pieces), slots, span, process, records)
    if template(span, 0, len(span), process) != [(record.timestamp, encode(record)) for record in records]:
        raise UnusualSpanError
    return template


def _matching(pieces: Sequence[Piece]) -> "Callable[[bytes, int, int], re.Match[bytes] | None]":
    pattern = b"".join(piece.pattern if isinstance(piece, Slot) else re.escape(piece) for piece in pieces)
    return re.compile(pattern, re.DOTALL).fullmatch


def _filling(  # noqa: C901 - a closure, whose variables cost less than attributes
    match: "Callable[[bytes, int, int], re.Match[bytes] | None]",
    slots: Sequence[Slot],
    span: bytes,
    process: str,
    records: Sequence[Record],
) -> Template:
    places, checks = _places(slots)
    found = match(span, 0, len(span))
    if found is None:
        raise UnusualSpanError
    of_kind = {slot.kind: slot for slot in slots}
    hexadecimal, number = of_kind[TRACE].decode, of_kind[START].decode
    trace_at, span_at, start_at = places[TRACE], places[SPAN], places[START]
    end_at = places.get(END, start_at)
    lasts = number(found[end_at + 1]) > number(found[start_at + 1])
    if records[0].span_id != hexadecimal(found[span_at + 1]):  # it marks the start of its parent
        span_at = places.get(PARENT, span_at)
    own_at = places[SPAN]
    text, names, kept = _text(slots, records)
    if not {name for name, _, _ in kept} <= {*names}:
        raise UnusualSpanError  # a value that is in no record here may be in others
    order = itemgetter(*map([*_VALUES, *(name for name, _, _ in kept)].index, names))
    encoders = [(at, encode_value) for _, at, encode_value in kept]
    has_process = bool(process)
    first_status, last_status = records[0].status, records[-1].status
    is_first_at_start = first_status == semconv.STATUS_RUNNING
    is_pair = len(records) == _PAIR

    def fill(body: bytes, begin: int, end: int, process: str) -> list[EncodedRecord] | None:  # noqa: PLR0911
        found = match(body, begin, end)
        if found is None:
            return None
        groups = found.groups()
        for at, heads in checks:
            if heads[len(groups[at + 1])] != groups[at]:
                return None
        trace_id, span_id = hexadecimal(groups[trace_at]), hexadecimal(groups[span_at])
        start_ns, end_ns = number(groups[start_at]), number(groups[end_at])
        if (end_ns > start_ns) is not lasts or (process != "") is not has_process:
            return None
        if not (start_ns and end_ns) or trace_id in _NO_IDS or span_id in _NO_IDS:
            return None
        if own_at != span_at and hexadecimal(groups[own_at]) in _NO_IDS:
            return None
        values = [encode_value(groups[at]) for at, encode_value in encoders]
        started_at = ended_at = rfc3339(start_ns)
        duration = "0.0"
        if lasts:
            ended_at = rfc3339(end_ns)
            duration = repr((end_ns - start_ns) // 1000 / 1000)
        else:
            end_ns = start_ns
        first = record_id(trace_id, span_id, first_status, start_ns if is_first_at_start else end_ns)
        last = record_id(trace_id, span_id, last_status, end_ns) if is_pair else first
        filled = text % order((trace_id, span_id, started_at, ended_at, duration, process, first, last, *values))
        data = filled.encode()
        if is_pair:
            running, outcome = data.split(b"\n")
            return [(started_at, running), (ended_at, outcome)]
        return [(started_at if is_first_at_start else ended_at, data)]

    return fill


def _places(slots: Sequence[Slot]) -> tuple[dict[int, int], list[tuple[int, Heads]]]:
    """Return where among the groups the value of each kind is, and where heads are."""
    places: dict[int, int] = {}
    checks: list[tuple[int, Heads]] = []
    at = 0
    for slot in slots:
        if slot.heads is not None:
            checks.append((at, slot.heads))
            at += 1
        places[slot.kind] = at
        at += 1
    return places, checks


def _text(
    slots: Sequence[Slot], records: Sequence[Record]
) -> tuple[str, list[str], list[tuple[str, int, Callable[[bytes], str]]]]:
    """Return the JSON of the records, a line each, with a ``%s`` for each value that differs.

    Return also the names of these values in their order, and of the run id and the metadata among them the name, the
    group, and what encodes it.
    """
    kept: list[tuple[str, int, Callable[[bytes], str]]] = []
    metadata: dict[str, Any] = {}
    texts: dict[str, Any] = {"run_id": "@trace_id@"}
    at = -1
    for slot in slots:
        at += 1 if slot.heads is None else 2
        if slot.kind in {RUN, METADATA, PARENT_STEP}:
            kept.append((f"_{at}", at, encoder_of(slot.kind, slot.decode)))
            if slot.kind == METADATA:
                metadata[slot.key] = f"@_{at}@"
            else:
                texts["run_id" if slot.kind == RUN else "parent_span_id"] = f"@_{at}@"
    lines = [
        _with_places(record, {**texts, "id": "@last@" if place else "@first@", "metadata": metadata})
        for place, record in enumerate(records)
    ]
    names: list[str] = []

    def place(found: "re.Match[str]") -> str:
        names.append(found[1])
        return "%s" if found[1] in _BARE or found[1].startswith("_") else '"%s"'

    return _PLACE.sub(place, "\n".join(lines).replace("%", "%%")), names, kept


def _with_places(record: Record, given_places: dict[str, Any]) -> str:
    """Return a record as JSON with a place for each value that differs. Raise :class:`UnusualSpanError`."""
    time = "@started_at@" if record.status == semconv.STATUS_RUNNING else "@ended_at@"
    places: dict[str, Any] = {
        "timestamp": time,
        "trace_id": "@trace_id@",
        "span_id": "@span_id@",
        "started_at": "@started_at@",
        "duration_ms": "@duration_ms@",
        "process": "@process@",
        **given_places,
    }
    given = {name for name in record.__struct_fields__ if getattr(record, name) is not None}
    if not given <= {*places, "flow_key", "step_key", "status"}:
        raise UnusualSpanError  # an error, of which no two are alike
    places = {name: value for name, value in places.items() if name in given}
    return msgspec.structs.replace(record, **places).to_json().decode()
