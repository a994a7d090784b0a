"""Slots: the places in the bytes of a span where spans of one shape differ, and how what is in them is encoded."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import msgspec

from failpath_otel import semconv
from failpath_otel.records.record import encode_json
from failpath_otel.records.span_translation import stated_run_id
from failpath_otel.scrubbing.keys import is_secret_text_key
from failpath_otel.scrubbing.values import clean_metadata

MAX_CACHED: Final = 4_096
"""Values of a kind that are cached; the least recently used are dropped first."""

MAX_TEXT_BYTES: Final = 512
"""A longer text has no slot."""

_MAX_HEADS: Final = 64

TRACE, SPAN, PARENT, START, END, RUN, METADATA, PARENT_STEP, UNREAD = range(9)
"""What a slot is for: ids, times, the run id, a value of metadata, the id of the step around it, what no record has."""


class UnusualSpanError(Exception):
    """A span has no template, or not this one: it has to be walked."""


class Heads(dict[int, bytes]):
    """What stands before a value and depends on its length, by that length.

    Args:
        make: makes it for a length.
    """

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make: Final = make

    def __missing__(self, length: int) -> bytes:
        if len(self) >= _MAX_HEADS:
            self.clear()
        made = self[length] = self._make(length)
        return made


class Slot(NamedTuple):
    """A slot.

    Args:
        kind: from :data:`TRACE` to :data:`UNREAD`.
        pattern: the expression for its bytes, with a group for the value, and before it one for the head, if any.
        decode: makes the value of its bytes: hexadecimal digits, nanoseconds, or an attribute.
        key: that of metadata.
        heads: what the head has to be.
    """

    kind: int
    pattern: bytes
    decode: Callable[[bytes], Any]
    key: str = ""
    heads: Heads | None = None


Piece = bytes | Slot
"""A part of a span: bytes that are the same in all spans of a shape, or a slot."""


class Shape(NamedTuple):
    """A span in pieces, and how many parts of the budget of its request it takes."""

    pieces: list[Piece]
    parts: int


def slot_of_attribute(name: str) -> int | None:
    """Return the kind of the slot for an attribute; ``None``: it is the same in all spans of a shape.

    Raises :class:`UnusualSpanError` for an attribute that differs in ways for which there are no slots.
    """
    if name == semconv.RUN_ID:
        return RUN
    if name == semconv.PARENT_SPAN_ID:
        return PARENT_STEP
    if name.startswith(semconv.METADATA_PREFIX):
        if is_secret_text_key(name.removeprefix(semconv.METADATA_PREFIX)):
            raise UnusualSpanError  # what is redacted by its key, and not by its value
        return METADATA
    if name.startswith(semconv.METADATA_JSON_PREFIX):
        raise UnusualSpanError
    return None if name.startswith(_THE_SAME) else UNREAD


_THE_SAME: Final = ("failpath.", "rpc.")
"""Attributes that decide which records there are, and of what."""


@lru_cache(maxsize=64)
def encoder_of(kind: int, decode: Callable[[bytes], Any]) -> Callable[[bytes], str]:
    """Return what encodes the bytes of a slot as JSON: of a run id, of metadata, or of the step around one. It caches.

    It raises :class:`UnusualSpanError` for a value that cleaning changes, which is not cached then; and ``ValueError``.
    """
    encode = _ENCODERS[kind]
    return lru_cache(MAX_CACHED)(lambda raw: encode(decode(raw)))


def _run_id_json(value: str) -> str:
    run_id = stated_run_id({semconv.RUN_ID: value})
    if not run_id:
        raise UnusualSpanError  # the trace id is the run id
    return _json(run_id)


def _metadata_json(value: object) -> str:
    if clean_metadata({"value": value})["value"] != value:
        raise UnusualSpanError
    return _json(value)


def _id_json(value: str) -> str:
    if not value.strip("0"):
        raise UnusualSpanError
    return f'"{value}"'


_ENCODERS: Final[dict[int, Callable[[Any], str]]] = {
    RUN: _run_id_json,
    METADATA: _metadata_json,
    PARENT_STEP: _id_json,
}


def _json(value: object) -> str:
    return encode_json(cast("msgspec.Struct", value)).decode()
