"""Takes a span in JSON apart, for a template."""

import json
import re
from collections.abc import Iterator
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
    Piece,
    Shape,
    Slot,
    UnusualSpanError,
    slot_of_attribute,
)
from failpath_otel.semconv import EXCEPTION_EVENT, METADATA_PREFIX

_IDS: Final = {"traceId": (TRACE, 32), "spanId": (SPAN, 16), "parentSpanId": (PARENT, 16)}
_TIMES: Final = {"startTimeUnixNano": START, "endTimeUnixNano": END}
_EVENT_TIME: Final = "timeUnixNano"
_THE_SAME: Final = frozenset(
    {"name", "kind", "status", "flags", "traceState"}
    | {"droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"}
)
_TOKEN: Final = re.compile(
    rb'\s*(?:(?P<text>"[^"\\\x00-\x1f]*")|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<word>true|false|null)|(?P<sign>[{}\[\]:,]))'
)
# None of these can match in more than one way, because a quotation mark or a sign ends them.
_TEXT: Final = rb'"([^"\\\x00-\x1f]{0,%d})"' % MAX_TEXT_BYTES
_UNREAD_TEXT: Final = rb'"([^"\\\x00-\x1f\x80-\xff]{0,%d})"' % MAX_TEXT_BYTES
_QUOTED_INT: Final = rb'"(-?[0-9]{1,18})"'
_INT: Final = rb"(-?(?:0|[1-9][0-9]{0,17}))"
_DOUBLE: Final = rb"(-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,17})?)"


def shape_of(span: bytes) -> Shape:
    """Return the pieces of a span. Raise :class:`UnusualSpanError` or ``ValueError``."""
    reader = _Reader(span)
    parts = 0
    for name in reader.members():
        if name in _IDS:
            reader.id(*_IDS[name])
        elif name in _TIMES:
            reader.time(_TIMES[name])
        elif name == "attributes":
            for _ in reader.items():
                _attribute(reader)
                parts += 1
        elif name == "events":
            for _ in reader.items():
                _event(reader)
                parts += 1
        elif name in _THE_SAME:
            reader.skip()
        elif name != "links" or reader.skip() != b"[]":
            raise UnusualSpanError
    return Shape(reader.pieces(), parts)


def _attribute(reader: "_Reader") -> None:
    """Read ``{"key": …, "value": {…: …}}``."""
    name, kind = "", None
    expected = iter(("key", "value"))
    for member in reader.members():
        if member != next(expected, None):
            raise UnusualSpanError
        if member == "key":
            name = reader.text()
            kind = slot_of_attribute(name)
            continue
        for case in reader.members():
            key = name.removeprefix(METADATA_PREFIX) if kind == METADATA else ""
            _value(reader, case, kind, key)


def _value(reader: "_Reader", case: str, kind: int | None, key: str) -> None:
    if case not in {"stringValue", "intValue", "boolValue", "doubleValue"}:
        raise UnusualSpanError
    if kind is None:
        reader.skip()
    elif case == "stringValue" and kind == PARENT_STEP:
        reader.slot(Slot(kind, b'"([0-9a-f]{16})"', bytes.decode), "text")
    elif case == "stringValue":
        reader.slot(Slot(kind, _UNREAD_TEXT if kind == UNREAD else _TEXT, bytes.decode, key), "text")
    elif case == "boolValue":
        reader.slot(Slot(kind, rb"(true|false)", _bool, key), "word")
    elif case == "intValue":
        is_text = reader.kind() == "text"
        reader.slot(Slot(kind, _QUOTED_INT if is_text else _INT, int, key), "text" if is_text else "number")
    else:
        reader.slot(Slot(kind, _DOUBLE, float, key), "number")


def _event(reader: "_Reader") -> None:
    """Read an event of a time and a name, and nothing else."""
    for member in reader.members():
        if member == _EVENT_TIME:
            reader.time(UNREAD)
        elif member == "droppedAttributesCount" or (member == "attributes" and reader.is_next(b"[]")):
            reader.skip()
        elif member != "name" or reader.text() == EXCEPTION_EVENT:
            raise UnusualSpanError


def _bool(raw: bytes) -> bool:
    return raw == b"true"


class _Reader:
    """Reads a JSON text token by token, and keeps it in pieces.

    Every method raises :class:`UnusualSpanError` for what it does not expect.

    Args:
        text: the text.
    """

    def __init__(self, text: bytes) -> None:
        self._text: Final = text
        self._at = 0
        self._kept = 0
        self._pieces: Final[list[Piece]] = []

    def pieces(self) -> list[Piece]:
        """Return all of the text, which was read to its end, in pieces."""
        if self._text[self._at :].strip():
            raise UnusualSpanError
        return [*self._pieces, self._text[self._kept :]]

    def kind(self) -> str:
        """Return the kind of the next token: ``text``, ``number``, ``word`` or ``sign``."""
        return str(self._next().lastgroup)

    def is_next(self, text: bytes) -> bool:
        """Return whether this comes next, without white space in it."""
        found = self._next()
        return self._text.startswith(text, found.start(found.lastgroup or 0))

    def members(self) -> Iterator[str]:
        """Yield the names in an object, of which no two may be the same. The caller reads their values."""
        names: set[str] = set()
        for _ in self._list(b"{", b"}"):
            name = self.text()
            self._sign(b":")
            if name in names:
                raise UnusualSpanError
            names.add(name)
            yield name

    def items(self) -> Iterator[None]:
        """Yield for each value in an array. The caller reads it."""
        return self._list(b"[", b"]")

    def text(self) -> str:
        """Read a text without escapes."""
        found = self._take("text")
        return str(json.loads(found[found.lastgroup or 0]))

    def id(self, kind: int, length: int) -> None:
        """Read an id as a slot; that of no parent stays as it is."""
        if kind == PARENT and self.is_next(b'""'):
            self.skip()
        else:
            self.slot(Slot(kind, b'"([0-9a-f]{%d})"' % length, bytes.decode), "text")

    def time(self, kind: int) -> None:
        """Read nanoseconds as a slot."""
        is_text = self.kind() == "text"
        pattern = rb'"([0-9]{1,19})"' if is_text else rb"([1-9][0-9]{0,18})"
        self.slot(Slot(kind, pattern, int), "text" if is_text else "number")

    def slot(self, slot: Slot, kind: str) -> None:
        """Read a token of a kind as a slot."""
        begin = self._next().start(kind)
        if begin < 0:
            raise UnusualSpanError
        self._pieces.extend((self._text[self._kept : begin], slot))
        self._take(kind)
        self._kept = self._at

    def skip(self) -> bytes:
        """Read a value that stays as it is, and return it."""
        begin = self._at
        depth = 0
        while True:
            found = self._next()
            self._at = found.end()
            sign = found["sign"]
            depth += (sign in {b"{", b"["}) - (sign in {b"}", b"]"})
            if depth == 0:
                return self._text[begin : self._at].strip()

    def _list(self, first: bytes, last: bytes) -> Iterator[None]:
        self._sign(first)
        if self._next()["sign"] == last:
            self._sign(last)
            return
        while True:
            yield
            found = self._take("sign")
            if found["sign"] == last:
                return
            if found["sign"] != b",":
                raise UnusualSpanError

    def _sign(self, sign: bytes) -> None:
        if self._take("sign")["sign"] != sign:
            raise UnusualSpanError

    def _take(self, kind: str) -> "re.Match[bytes]":
        found = self._next()
        if found.lastgroup != kind:
            raise UnusualSpanError
        self._at = found.end()
        return found

    def _next(self) -> "re.Match[bytes]":
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise UnusualSpanError
        return found
