"""Takes a span in protobuf apart, for a template."""

import re
from functools import partial
from struct import Struct
from typing import Final

from failpath_otel.otlp.slots import (
    END,
    MAX_TEXT_BYTES,
    METADATA,
    PARENT,
    PARENT_STEP,
    SPAN,
    START,
    TRACE,
    UNREAD,
    Heads,
    Piece,
    Shape,
    Slot,
    UnusualSpanError,
    slot_of_attribute,
)
from failpath_otel.otlp.varint import read_varint, varint
from failpath_otel.semconv import EXCEPTION_EVENT, METADATA_PREFIX

_IDS: Final = {0x0A: (TRACE, 16), 0x12: (SPAN, 8), 0x22: (PARENT, 8)}
_TIMES: Final = {0x39: START, 0x41: END}
_ATTRIBUTE: Final = 0x4A
_EVENT: Final = 0x5A
_BYTES: Final = frozenset({0x1A, 0x2A, 0x7A})
"""The state of the trace, the name, the status."""
_NUMBERS: Final = frozenset({0x30, 0x50, 0x60, 0x70})
"""The kind, and how many attributes, events and links were dropped."""
_FLAGS: Final = b"\x85\x01"
"""The tags of the fields of a span that a template knows."""

_KEY, _VALUE = 0x0A, 0x12
_STRING, _BOOL, _INT, _DOUBLE = 0x0A, 0x10, 0x18, 0x21
_EVENT_TIME, _EVENT_NAME = 0x09, 0x12
_SEVEN_BITS: Final = 0x7F
_TWO_63: Final = 1 << 63

_LENGTH: Final = rb"[\x80-\xff]?[\x00-\x7f]"
# A value ends where the head of the next attribute or event begins, which has a line feed or a tab soon: a text
# without both can end in one place only, so that the time of a match is linear.
_TEXT: Final = rb"([^\n\t]{0,%d})" % MAX_TEXT_BYTES
_UNREAD_TEXT: Final = rb"([^\n\t\x80-\xff]{0,%d})" % MAX_TEXT_BYTES
"""ASCII, because it is not decoded, and UTF-8 that is none makes a span unusable."""

_TRUTH: Final = rb"([\x00\x01])"
_VARINT: Final = rb"([\x80-\xff]{0,9}[\x00-\x7f])"
_read_time: Final = partial(int.from_bytes, byteorder="little")
_read_double: Final = Struct("<d").unpack


def shape_of(span: bytes) -> Shape:
    """Return the pieces of a span. Raise :class:`UnusualSpanError`, ``ValueError`` or ``IndexError``."""
    pieces: list[Piece] = []
    at = parts = 0
    while at < len(span):
        tag, begin = span[at], at
        if tag in _TIMES:
            pieces += [span[at : at + 1], Slot(_TIMES[tag], b"(.{8})", _read_time)]
            at += 9
        elif tag in _NUMBERS:
            _, at = read_varint(span, at + 1)
            pieces.append(span[begin:at])
        elif span.startswith(_FLAGS, at):
            at += 6
            pieces.append(span[begin:at])
        else:
            size, content = read_varint(span, at + 1)
            at = content + size
            if tag in _IDS:
                pieces += _id(span[begin:content], size, *_IDS[tag])
            elif tag == _ATTRIBUTE:
                pieces += _attribute(span[begin:at], span[content:at])
                parts += 1
            elif tag == _EVENT:
                pieces += _event(span[begin:content], span[content:at])
                parts += 1
            elif tag in _BYTES:
                pieces.append(span[begin:at])
            else:  # as a link
                raise UnusualSpanError
    return Shape(pieces, parts)


def _id(head: bytes, size: int, kind: int, length: int) -> list[Piece]:
    if size != length:
        raise UnusualSpanError
    return [head, Slot(kind, b"(.{%d})" % length, bytes.hex)]


def _event(head: bytes, event: bytes) -> list[Piece]:
    """Return the pieces of an event of a time and a name, and nothing else."""
    size, at = read_varint(event, 10)
    name = event[at:]
    if event[0] != _EVENT_TIME or event[9] != _EVENT_NAME or size != len(name) or name == EXCEPTION_EVENT.encode():
        raise UnusualSpanError
    return [head + event[:1], Slot(UNREAD, b"(.{8})", bytes), event[9:]]


def _attribute(whole: bytes, pair: bytes) -> list[Piece]:
    length = pair[1]
    name, value = pair[2 : 2 + length], pair[2 + length :]
    size, at = read_varint(value, 1)
    if pair[0] != _KEY or length > _SEVEN_BITS or value[0] != _VALUE or at + size != len(value):
        raise UnusualSpanError
    text = name.decode()
    kind = slot_of_attribute(text)
    tag = value[at]
    if tag == _STRING:
        size, at = read_varint(value, at + 1)
        if at + size != len(value):
            raise UnusualSpanError
    elif tag not in {_BOOL, _INT, _DOUBLE}:
        raise UnusualSpanError
    if kind is None:
        return [whole]
    key = text.removeprefix(METADATA_PREFIX) if kind == METADATA else ""
    if tag == _STRING:
        if kind == PARENT_STEP:
            return [whole[:-16], Slot(kind, b"([0-9a-f]{16})", bytes.decode)]
        return [_text_slot(kind, key, pair[: 2 + length])]
    if tag == _INT:
        return [_int_slot(kind, key, pair[: 2 + length])]
    before = whole[: len(whole) - len(value) + at + 1]
    return [before, Slot(kind, b"(.{8})", _double, key) if tag == _DOUBLE else Slot(kind, _TRUTH, _bool, key)]


def _text_slot(kind: int, key: str, named: bytes) -> Slot:
    """Return the slot for an attribute that is a text, with the lengths around it, behind *named*: its name."""

    def head(length: int) -> bytes:
        value = b"%c%b" % (_STRING, varint(length))
        return _head(named, value, length)

    text = _UNREAD_TEXT if kind == UNREAD else _TEXT
    pattern = b"(%c%b%b%c%b%c%b)%b" % (_ATTRIBUTE, _LENGTH, re.escape(named), _VALUE, _LENGTH, _STRING, _LENGTH, text)
    return Slot(kind, pattern, bytes.decode, key, Heads(head))


def _int_slot(kind: int, key: str, named: bytes) -> Slot:
    def head(length: int) -> bytes:
        return _head(named, b"%c" % _INT, length)

    pattern = b"(%c%b%b%c%b%c)%b" % (_ATTRIBUTE, _LENGTH, re.escape(named), _VALUE, _LENGTH, _INT, _VARINT)
    return Slot(kind, pattern, _int, key, Heads(head))


def _head(named: bytes, value: bytes, length: int) -> bytes:
    """Return what stands before the last *length* bytes of an attribute, of whose value *value* is the beginning."""
    before = b"%b%c%b%b" % (named, _VALUE, varint(len(value) + length), value)
    return b"%c%b%b" % (_ATTRIBUTE, varint(len(before) + length), before)


def _int(raw: bytes) -> int:
    number, _ = read_varint(raw, 0)
    return number if number < _TWO_63 else number - 2 * _TWO_63


def _bool(raw: bytes) -> bool:
    return raw != b"\0"


def _double(raw: bytes) -> float:
    number: float = _read_double(raw)[0]
    return number
