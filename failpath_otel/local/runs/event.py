"""The event: one record of the wire contract as the receiver accepts it."""

import re
from typing import Annotated, Final

import msgspec

from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.records.record import Record

MAX_DEPTH: Final = 200
"""How deep an event may be nested: it is read, copied and written recursively."""

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class Event(Record, frozen=True, kw_only=True):
    """A record with a non-empty identity and valid times; unknown fields are ignored.

    Raises ``ValueError`` (inside a decoder: ``msgspec.ValidationError``) for an invalid time.
    """

    id: _Text
    flow_key: _Text
    run_id: _Text
    step_key: _Text
    span_id: _Text
    timestamp: str
    started_at: str | None = None

    def __post_init__(self) -> None:
        parse_rfc3339(self.timestamp)
        if self.started_at is not None:
            parse_rfc3339(self.started_at)


_decode: Final = msgspec.json.Decoder(Event).decode


def decode_event(payload: str | bytes) -> Event:
    """Return the event in one JSON object. Raise ``ValueError`` with a readable reason if it is invalid."""
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def check_depth(payload: str) -> None:
    """Raise ``ValueError`` for JSON that is nested too deeply."""
    # Nearly every event has fewer brackets in all than may be open.
    if payload.count("{") + payload.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for character in _STRING.sub("", payload):
        if character in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
        elif character in "}]":
            depth -= 1
