"""Values of attributes in OTLP/JSON, and the messages that have them in every signal."""

import base64
import binascii
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.span import MAX_DEPTH, MAX_LIST_VALUES, NO_RESOURCE, OtlpResource, resource_of

_MAX_UINT64: Final = (1 << 64) - 1
_MAX_DIGITS: Final = 40
Integer = int | str
"""Integers of 64 bits are texts; a number is taken too."""


class Message(msgspec.Struct, rename="camel", gc=False):
    """A message: every field may be missing or ``null``, and unknown fields are ignored."""


class _Array(Message):
    values: "list[AnyValue] | None" = None


class _Mapping(Message):
    values: "list[KeyValue] | None" = None


class AnyValue(Message):
    """A value of any kind."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Mapping | None = None
    bytes_value: str | None = None


class KeyValue(Message):
    """An attribute."""

    key: str | None = None
    value: AnyValue | None = None


class ScopeMessage(Message):
    """An ``InstrumentationScope``."""

    name: str | None = None


class ResourceMessage(Message):
    """A ``Resource``."""

    attributes: list[KeyValue] | None = None


def resource_in(resource: ResourceMessage | None, budget: ReadingBudget) -> OtlpResource:
    """Return the resource; an empty one if it cannot be read."""
    pairs = [] if resource is None else resource.attributes or []
    try:
        budget.begin(len(pairs))
        return resource_of(attributes_in(pairs, budget))
    except TooManyPartsError:
        return NO_RESOURCE


def uint64_of(value: Integer | None) -> int:
    """Return an unsigned number of 64 bits; 0 for anything else."""
    number = _int(value)
    return number if isinstance(number, int) and 0 <= number <= _MAX_UINT64 else 0


def _int(value: Integer | None) -> Integer | None:
    """Return the number in a text; a text without one stays as it is."""
    try:
        # Parsing digits takes the square of their number: a long text would block all other requests.
        return int(value) if isinstance(value, str) and len(value) <= _MAX_DIGITS else value
    except ValueError:
        return value


def mapping_in(pairs: list[KeyValue] | None, budget: ReadingBudget, depth: int = 0) -> dict[str, Any]:
    """Return attributes by key, and pay for them."""
    budget.take(len(pairs or ()))
    return attributes_in(pairs or (), budget, depth)


def attributes_in(pairs: Iterable[KeyValue], budget: ReadingBudget, depth: int = 0) -> dict[str, Any]:
    """Return the attributes by key; the budget has paid for the pairs already, not for what is in their values."""
    return {pair.key or "": None if pair.value is None else value_of(pair.value, depth, budget) for pair in pairs}


def value_of(value: AnyValue, depth: int, budget: ReadingBudget) -> Any:  # noqa: ANN401, PLR0911 - any attribute; a case each
    """Return a value, of which the outermost layer is paid for."""
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _int(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return _double(value.double_value)
    if value.bytes_value is not None:
        return bytes_of(value.bytes_value)
    if depth > MAX_DEPTH:
        return None
    if value.array_value is not None:
        values = value.array_value.values or ()
        budget.take(min(len(values), MAX_LIST_VALUES))
        return tuple(value_of(each, depth + 1, budget) for each in islice(values, MAX_LIST_VALUES))
    if value.kvlist_value is not None:
        return mapping_in(value.kvlist_value.values, budget, depth + 1)
    return None


def _double(value: float | str) -> float | str:
    """Return the number; ``NaN`` and the infinities come as texts."""
    try:
        return float(value)
    except ValueError:
        return value


def bytes_of(text: str) -> bytes | str:
    """Decode Base64, also in the alphabet for URLs, with or without padding."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return text
