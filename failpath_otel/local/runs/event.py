"""The event: one record of the wire contract as the receiver accepts it."""

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from failpath_otel import limits
from failpath_otel.records.record import Record

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND: Final = timedelta(microseconds=1)


class Event(Record, frozen=True, kw_only=True):
    """A record whose identity is not empty and whose times can be read; fields that it does not know are ignored.

    Raises ``ValueError`` (inside a decoder: ``msgspec.ValidationError``) for a time that :func:`instant` refuses.
    """

    id: _Text
    flow_key: _Text
    run_id: _Text
    step_key: _Text
    span_id: _Text
    timestamp: str
    started_at: str | None = None

    def __post_init__(self) -> None:
        instant(self.timestamp)
        if self.started_at is not None:
            instant(self.started_at)


_decode: Final = msgspec.json.Decoder(Event).decode


def decode_event(payload: str | bytes) -> Event:
    """The event in one JSON object. Raises ``ValueError`` with the reason in words if it is not one."""
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None


@lru_cache(maxsize=8_192)
def instant(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time; anything finer is rounded.

    Raises ``ValueError`` for any other text, for a time without a zone, and for one outside of 1970 to 9999.
    """
    try:
        moment = msgspec.convert(text, _Moment)
    except msgspec.ValidationError:
        msg = f"expected an RFC 3339 time with a zone, got {text[:64]!r}"
        raise ValueError(msg) from None
    microseconds = (moment - _EPOCH) // _MICROSECOND
    if not 0 <= microseconds < limits.END_OF_TIME * 1_000_000:
        msg = f"expected a time from 1970 to 9999, got {text[:64]!r}"
        raise ValueError(msg)
    return microseconds
