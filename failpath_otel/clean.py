"""User values made safe: JSON types only, bounded in size, secrets taken out.

Both halves use it: ``steps`` before a value reaches the OpenTelemetry SDK (which raises on a cycle, lets a bad
``__str__`` surface and stores a text of any length), ``export`` for spans that somebody else opened.
Nothing in here raises, whatever it is given.
"""

import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, Final

from failpath_otel import limits

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

REDACTED: Final = "[redacted]"
"""What stands in the place of a value whose key looks like a secret."""

DROPPED_KEYS: Final = "failpath.dropped_keys"
"""Metadata key under which a mapping with too many keys, or with keys that have no text, says how many are missing."""

UNUSABLE: Final = "failpath.unusable_metadata"
"""Metadata key that stands for metadata that is not a mapping or cannot be read: a sentence about what was given."""

_INT64: Final = 1 << 63

# Anywhere in a key, these words mean that the value is a secret.
_SECRET_WORDS: Final = frozenset(
    {
        *("apikey", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "cvc", "cvv", "jwt"),
        *("passcode", "passphrase", "passwd", "password", "passwords", "privatekey", "pwd", "secret", "secrets"),
        *("sessionid", "setcookie"),
    }
)
# These do only at the end of a key: `auth_token` is a secret, `token_count` and `max_tokens` are not.
_SECRET_ENDS: Final = frozenset({"token", "accesstoken", "authtoken", "refreshtoken", "auth", "pin", "ssn"})
_SECRET_PAIRS: Final = frozenset(
    {(kind, "key") for kind in ("access", "api", "encryption", "private", "signing")} | {("session", "id")}
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@lru_cache(maxsize=2048)
def is_secret_key(key: str) -> bool:
    """Whether ``key`` looks like the name of a secret: ``stripe_api_key``, ``dbPassword``, ``Set-Cookie``."""
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return False
    return (
        words[-1] in _SECRET_ENDS
        or not _SECRET_WORDS.isdisjoint(words)
        or any(pair in _SECRET_PAIRS for pair in pairwise(words))
    )


def clean_text(text: str, max_chars: int) -> str:
    """``text`` as encodable UTF-8 of at most ``max_chars`` characters; what was cut off is said at its end."""
    if len(text) > max_chars:
        mark = f"…[{len(text)} characters]"
        text = text[: max_chars - len(mark)] + mark
    if text.isascii():
        return str(text)
    # Lone surrogates would make both msgspec and protobuf refuse the whole record.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(value: object, max_chars: int) -> str:
    """The ``str()`` of any object; where that fails, a text that names the object's type and the failure."""
    try:
        return clean_text(str(value), max_chars)
    except Exception as error:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(value).__name__}: its text raised {type(error).__name__}>"


def clean_metadata(metadata: object) -> dict[str, Json]:
    """Metadata as a mapping of JSON values within :mod:`failpath_otel.limits`, whatever was given.

    Scalars, lists and string-keyed mappings stay what they are. Sets become sorted lists, bytes and everything else
    become text; NaN, infinities and integers beyond 64 bits become text, because JSON or OTLP has no room for them.
    Values under keys that look like secrets become :data:`REDACTED`.
    """
    if not metadata:
        if metadata is None or isinstance(metadata, Mapping):
            return {}
    elif type(metadata) is dict and len(metadata) <= limits.MAX_METADATA_KEYS:
        flat = _flat(metadata)
        if flat is not None:
            return flat
    if not isinstance(metadata, Mapping):
        return {UNUSABLE: f"a {type(metadata).__name__}, not a mapping"}
    try:
        return _Cleaner().top(metadata)
    except Exception as error:  # noqa: BLE001 - a user's mapping may raise anything
        return {UNUSABLE: f"a {type(metadata).__name__} that raised {type(error).__name__}"}


def _flat(metadata: dict[Any, Any]) -> dict[str, Json] | None:
    """The short way for what nearly all metadata is: a few short scalars. ``None`` where it takes the long way."""
    room = limits.MAX_METADATA_TEXT_CHARS
    for key, value in metadata.items():
        if type(key) is not str or not key or len(key) > limits.MAX_METADATA_KEY_CHARS or not key.isascii():
            return None
        kind = type(value)
        if kind is str:
            room -= len(value)
            plain = room >= 0 and value.isascii()
        elif kind is int:
            plain = -_INT64 <= value < _INT64
        else:
            plain = kind is bool or (kind is float and math.isfinite(value))
        if not plain or is_secret_key(key):
            return None
    return metadata.copy()


class _Cleaner:
    """One pass over one metadata mapping: what text is left, and which containers enclose the value at hand."""

    def __init__(self) -> None:
        self._chars = limits.MAX_METADATA_CHARS
        self._open: set[int] = set()

    def top(self, metadata: Mapping[Any, Any]) -> dict[str, Json]:
        return self._mapping(metadata, limits.MAX_METADATA_KEYS)

    def _text(self, value: object) -> str:
        room = min(limits.MAX_METADATA_TEXT_CHARS, max(self._chars, 64))
        text = text_of(value, room)
        self._chars -= len(text)
        return text

    def _value(self, value: Any) -> Json:  # noqa: ANN401, PLR0911 - anything at all; a case each
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            self._chars -= 8
            number = int.__int__(value)
            return number if -_INT64 <= number < _INT64 else self._text(number)
        if isinstance(value, float):
            self._chars -= 8
            real = float.__float__(value)
            return real if math.isfinite(real) else repr(real)
        if isinstance(value, (bytes, bytearray, memoryview)):
            head = bytes(value[: limits.MAX_METADATA_TEXT_CHARS + 1])
            return self._text(head.decode("utf-8", "backslashreplace"))
        if isinstance(value, (datetime, date, time)):
            return self._text(value.isoformat())
        if isinstance(value, (Mapping, AbstractSet, list, tuple)):
            return self._container(value)
        return self._text(value)

    def _container(self, value: Mapping[Any, Any] | AbstractSet[Any] | list[Any] | tuple[Any, ...]) -> Json:
        if id(value) in self._open:
            return "<cycle>"
        if len(self._open) >= limits.MAX_METADATA_DEPTH:
            return f"<{type(value).__name__} nested deeper than {limits.MAX_METADATA_DEPTH}>"
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(value, limits.MAX_METADATA_ITEMS)
            items = self._items(value)
            # A set has no order of its own; sorted, the same set always gives the same record.
            return sorted(items, key=repr) if isinstance(value, AbstractSet) else items
        finally:
            self._open.discard(id(value))

    def _items(self, values: Iterable[Any]) -> list[Json]:
        items: list[Json] = []
        iterator = iter(values)
        for value in islice(iterator, limits.MAX_METADATA_ITEMS):
            if self._chars <= 0:
                items.append("…[no room for the rest]")
                return items
            items.append(self._guarded(value))
        if next(iterator, self) is not self:
            items.append(f"…[only the first {limits.MAX_METADATA_ITEMS}]")
        return items

    def _mapping(self, mapping: Mapping[Any, Any], max_keys: int) -> dict[str, Json]:
        cleaned: dict[str, Json] = {}
        seen = 0
        for key, value in islice(mapping.items(), max_keys):
            if self._chars <= 0:
                break
            seen += 1
            name = clean_text(key, limits.MAX_METADATA_KEY_CHARS) if type(key) is str else ""
            if not name and type(key) is not str:
                name = text_of(key, limits.MAX_METADATA_KEY_CHARS)
            name = name or "<empty>"
            self._chars -= len(name)
            cleaned[name] = REDACTED if is_secret_key(name) and value is not None else self._guarded(value)
        missing = len(mapping) - seen
        if missing > 0:
            cleaned[DROPPED_KEYS] = missing
        return cleaned

    def _guarded(self, value: Any) -> Json:  # noqa: ANN401 - anything at all
        try:
            return self._value(value)
        except Exception as error:  # noqa: BLE001 - one bad value costs itself, not its neighbours
            return f"<{type(value).__name__}: reading it raised {type(error).__name__}>"
