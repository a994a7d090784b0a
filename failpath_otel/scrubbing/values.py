"""Make user values safe: JSON types only, bounded in size, redacted.

``steps`` does it before a value reaches the OpenTelemetry SDK, which raises on a cycle or a faulty ``__str__`` and
keeps texts of any length; ``records`` for spans of other tracers. Nothing in here raises.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.keys import REDACTED as REDACTED
from failpath_otel.scrubbing.keys import is_secret_key as is_secret_key
from failpath_otel.scrubbing.keys import is_secret_text_key
from failpath_otel.scrubbing.text import MAX_SCANNED_CHARS, redact_text, redact_values, redacted_head, without_last_word
from failpath_otel.scrubbing.text_shapes import find_candidates

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

DROPPED_KEYS: Final = "failpath.dropped_keys"
"""Metadata key with the number of keys that were left out because there were too many, or had no text."""

UNUSABLE: Final = "failpath.unusable_metadata"
"""Metadata key with a sentence about metadata that is no mapping or cannot be read."""

_INT64: Final = 1 << 63
_MAX_TEXT: Final = limits.MAX_METADATA_TEXT_CHARS
_MIN_TEXT_CHARS: Final = 64
"""Characters that a text may have even without room, so that the truncation can be marked."""

_MAX_CHECKED_KEY_CHARS: Final = 1_024
_MAX_HARMLESS_KEYS: Final = 2_048
_MIN_SECRET_CHARS: Final = 5
"""Shorter texts contain nothing that :func:`failpath_otel.scrubbing.text.redact_text` finds."""

_MIN_BARE_TOKEN_CHARS: Final = 13
"""Nor do shorter ones without a blank or a sign, except for a project key: card numbers are the shortest."""


_NUMBERS: Final = frozenset("biuf")
"""NumPy's kinds of booleans, signed and unsigned integers, and floating point numbers."""

_harmless_keys: Final[set[str]] = set()
"""Keys that were found harmless: a program has few, and uses them with every step."""


def _is_harmless_key(key: str) -> bool:
    """Return whether a key is short, ASCII, and neither the name of a secret nor a secret itself."""
    if not (0 < len(key) <= limits.MAX_METADATA_KEY_CHARS and key.isascii()):
        return False
    if is_secret_text_key(key) or redact_values(key) != key:
        return False
    if len(_harmless_keys) >= _MAX_HARMLESS_KEYS:
        _harmless_keys.clear()  # for unbounded keys; frequent ones soon return
    _harmless_keys.add(key)
    return True


def clean_text(text: str, max_chars: int, length: int | None = None) -> str:
    """Return *text* as encodable UTF-8 of at most *max_chars* characters; a truncation is marked at its end.

    *length* is that of the whole text if *text* is the beginning of one.
    """
    text = str.__str__(text)  # a subclass may override anything
    mark = f"…[{len(text) if length is None else length} characters]"
    kept = text if len(text) <= max_chars else text[: max_chars - len(mark)] + mark
    if kept.isascii():
        return kept
    # msgspec and protobuf refuse lone surrogates. Escaped, they take more room.
    kept = kept.encode("utf-8", "backslashreplace").decode("utf-8")
    return kept if len(kept) <= max_chars else kept[: max_chars - len(mark)] + mark


def bounded_run_id(text: str) -> str:
    """Return a run id as encodable UTF-8 of at most :data:`failpath_otel.limits.MAX_RUN_ID_CHARS` characters.

    A longer one keeps its beginning and ends in a hash of the whole, so that the same long id names the same run
    everywhere, and another one another.
    """
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limits.MAX_RUN_ID_CHARS:
        return text
    # Imported on use: hashlib loads OpenSSL (decision 0005).
    from hashlib import blake2b  # noqa: PLC0415

    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: limits.MAX_RUN_ID_CHARS - 17]}-{digest}"


def text_of(value: object, max_chars: int) -> str:
    """Return the ``str()`` of any object; if that fails, a text with the type and the failure."""
    return clean_text(_str(value), max_chars)


def error_text(value: object, max_chars: int) -> str:
    """Do :func:`text_of` for the text of an exception, which is redacted before it is truncated."""
    return _redacted(_str(value), max_chars, redact_text)


def _redacted(text: str, max_chars: int, redact: Callable[[str], str]) -> str:
    head = redacted_head(text, redact)
    if len(text) > MAX_SCANNED_CHARS and len(head) <= max_chars:
        head += " " * max_chars  # so that the truncation is marked
    return clean_text(head, max_chars, len(text))


def _str(value: object) -> str:
    try:
        return str.__str__(str(value))
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - a user's __str__ may raise anything
        reraise_if_from_handler(error)
        return f"<{type_name(value)}: its text raised {type_name(error)}>"


def type_name(value: object) -> str:
    """Return the name of the type of any object."""
    try:
        return str(type(value).__name__)
    except Exception as error:  # noqa: BLE001 - a metaclass of the user's may raise anything
        reraise_if_from_handler(error)
        return "object"


def clean_metadata(metadata: object) -> dict[str, Json]:
    """Return metadata as a mapping of JSON values within :mod:`failpath_otel.limits`.

    Scalars, lists and string-keyed mappings are left unchanged; numbers and booleans of NumPy become those of Python.
    Sets become sorted lists, bytes and all other objects become text; NaN, infinities and integers beyond 64 bits
    become text, because JSON or OTLP cannot represent them. Values of keys that look like secrets become
    :data:`REDACTED`.
    """
    if metadata is None:
        return {}
    try:
        if type(metadata) is dict:
            metadata = metadata.copy()  # atomic: another thread may change it
            unchanged = _clean_unchanged(metadata) if len(metadata) <= limits.MAX_METADATA_KEYS else None
            if unchanged is not None:
                return unchanged
        if not isinstance(metadata, Mapping):
            return {UNUSABLE: f"a {type_name(metadata)}, not a mapping"}
        return _Cleaner().mapping(metadata, limits.MAX_METADATA_KEYS)
    except Exception as error:  # noqa: BLE001 - a user's mapping may raise anything
        reraise_if_from_handler(error)
        return {UNUSABLE: f"a {type_name(metadata)} that raised {type_name(error)}"}


def _clean_unchanged(metadata: dict[Any, Any]) -> dict[str, Json] | None:
    """Return *metadata* if it is clean as it stands, as most is: a few short scalars. Else ``None``."""
    room, harmless = _MAX_TEXT, _harmless_keys
    for key, value in metadata.items():
        if type(key) is not str or (key not in harmless and not _is_harmless_key(key)):
            return None
        kind = type(value)
        if kind is str:
            length = len(value)
            room -= length
            if room < 0 or not value.isascii():
                return None
            if (
                length >= _MIN_SECRET_CHARS
                and (length >= _MIN_BARE_TOKEN_CHARS or not value.isidentifier() or "fp_project_" in value)
                and (length >= _MIN_BARE_TOKEN_CHARS or " " in value or "=" in value or ":" in value or "_" in value)
                and find_candidates(value)
                and redact_text(value) != value
            ):
                return None
        elif kind is int:
            if not -_INT64 <= value < _INT64:
                return None
        elif kind is not bool and not (kind is float and math.isfinite(value)):
            return None
    return metadata


class _Cleaner:
    """One pass over one metadata mapping: the bytes left, and the containers around the current value."""

    def __init__(self) -> None:
        self._bytes_left = limits.MAX_METADATA_BYTES
        self._open: set[int] = set()

    def mapping(self, mapping: Mapping[Any, Any], max_keys: int) -> dict[str, Json]:
        cleaned: dict[str, Json] = {}
        for key, value in islice(mapping.items(), max_keys):
            if self._bytes_left <= 0:
                break
            text = str.__str__(key) if isinstance(key, str) else text_of(key, _MAX_CHECKED_KEY_CHARS)
            name = self._text(text, limits.MAX_METADATA_KEY_CHARS, redact_values) or "<empty>"
            judge = is_secret_text_key if isinstance(value, (str, bytes, bytearray)) else is_secret_key
            secret = value is not None and (
                judge(text[:_MAX_CHECKED_KEY_CHARS]) or judge(text[-_MAX_CHECKED_KEY_CHARS:])
            )
            cleaned[name] = REDACTED if secret else self._value_or_failure(value)
        missing = len(mapping) - len(cleaned)
        if missing > 0:
            cleaned[DROPPED_KEYS] = missing
        return cleaned

    def _value_or_failure(self, value: Any) -> Json:  # noqa: ANN401 - anything at all
        try:
            return self._value(value)
        except Exception as error:  # noqa: BLE001 - one bad value must not cost the others
            reraise_if_from_handler(error)
            return f"<{type_name(value)}: reading it raised {type_name(error)}>"

    def _value(self, value: Any) -> Json:  # noqa: ANN401, PLR0911 - anything at all; a case each
        self._bytes_left -= 6  # `false,`: or lists of empty values would grow without bound
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            number = int.__int__(value)
            self._bytes_left -= 14
            return number if -_INT64 <= number < _INT64 else self._text(_str(number))
        if isinstance(value, float):
            self._bytes_left -= 18
            real = float.__float__(value)
            return real if math.isfinite(real) else repr(real)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value[: 2 * _MAX_TEXT]), len(value))
        if isinstance(value, (datetime, date, time)):
            return self._text(value.isoformat())
        if isinstance(value, (Mapping, AbstractSet, list, tuple)):
            return self._container(value)
        if (scalar := _number_in(value)) is not None:
            return self._value(scalar)
        return self._text(_str(value))

    def _text(self, text: str, max_chars: int = _MAX_TEXT, redact: Callable[[str], str] = redact_text) -> str:
        text = _redacted(text, max_chars, redact)
        size = _json_size(text)
        if size > max(self._bytes_left, _MIN_TEXT_CHARS):
            # A character takes at most six bytes of JSON (an escaped control character).
            text = clean_text(text, max(self._bytes_left // 6, _MIN_TEXT_CHARS))
            size = _json_size(text)
        self._bytes_left -= size
        return text

    def _bytes(self, head: bytes, length: int) -> str:
        decoded = head.decode("utf-8", "backslashreplace")
        text = self._text(decoded if length <= len(head) else without_last_word(decoded))
        # Usually one byte is one character.
        return text if length <= len(head) else f"{text[: _MAX_TEXT - 40]}…[{length} bytes or characters]"

    def _container(self, value: Mapping[Any, Any] | AbstractSet[Any] | list[Any] | tuple[Any, ...]) -> Json:
        if id(value) in self._open:
            return "<cycle>"
        if len(self._open) >= limits.MAX_METADATA_DEPTH:
            return f"<{type_name(value)} nested deeper than {limits.MAX_METADATA_DEPTH}>"
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self.mapping(value, limits.MAX_METADATA_ITEMS)
            items = self._items(value)
            # A set has no order of its own; sorted, the same set always gives the same record.
            return sorted(items, key=repr) if isinstance(value, AbstractSet) else items
        finally:
            self._open.discard(id(value))

    def _items(self, values: Iterable[Any]) -> list[Json]:
        items: list[Json] = []
        iterator = iter(values)
        for value in islice(iterator, limits.MAX_METADATA_ITEMS):
            if self._bytes_left <= 0:
                items.append("…[no room for the rest]")
                return items
            items.append(self._value_or_failure(value))
        if next(iterator, self) is not self:
            items.append(f"…[only the first {limits.MAX_METADATA_ITEMS}]")
        return items


def _number_in(value: Any) -> bool | int | float | None:  # noqa: ANN401 - anything at all
    """Return the number or boolean of a NumPy scalar, or of another library's with the same memory interface.

    Decided by the type, because an object may claim any attribute. Arrays are no scalars, of whatever length; nor are
    tensors, whose value may first have to be computed on a device.
    """
    kind = type(value)
    try:
        if not (hasattr(kind, "item") and hasattr(kind, "__array_interface__")) or hasattr(kind, "mask"):
            return None
        # Not of dates, which would become nanoseconds.
        if value.shape != () or value.dtype.kind not in _NUMBERS:
            return None
        number = value.item()
    except Exception as error:  # noqa: BLE001 - then its text is used
        reraise_if_from_handler(error)
        return None
    return number if type(number) in {bool, int, float} else None


def _json_size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())
