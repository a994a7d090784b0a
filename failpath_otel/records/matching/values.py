"""Values of span attributes as texts, and which of these can be a run id or a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from failpath_otel import limits
from failpath_otel.scrubbing.text import redact_values

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_MAX_NUMBER_BITS: Final = 64
"""Python refuses to format much larger numbers."""


def attributes_as_dict(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of the span's attributes as a plain dict."""
    attributes: Any = span.attributes
    try:
        # `copy` of an SDK span's attributes takes a tenth of the time of iterating.
        copied = attributes.copy()
    except AttributeError:
        copied = attributes or {}
    return copied if type(copied) is dict else dict(copied)


RESOURCE: Final = "resource:"
"""Where :func:`attributes_to_match` has the resource; no attribute has this name."""


def attributes_to_match(span: ReadableSpan) -> dict[str, Any]:
    """Return :func:`attributes_as_dict` with what templates read beside them: the attributes of the span's resource."""
    attributes = attributes_as_dict(span)
    attributes[RESOURCE] = getattr(getattr(span, "resource", None), "attributes", None)
    return attributes


def text_of_attribute(value: object) -> str:
    """Return the text of an attribute, of a list that of its first item; empty for what has none."""
    if isinstance(value, (tuple, list)) and value:
        value = value[0]  # captured HTTP headers are lists
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _MAX_NUMBER_BITS):
        return str(value)
    return ""


def usable_run_id(value: object) -> str:
    """Return a run id from outside as text; empty if it cannot be one or contains a secret."""
    if isinstance(value, (tuple, list)) and value:
        value = value[0]
    return "" if isinstance(value, (bool, float)) else usable_text(text_of_attribute(value), limits.MAX_RUN_ID_CHARS)


def usable_text(text: str, max_chars: int) -> str:
    """Return a text from outside that can be a name of a run or a step; empty if it cannot or contains a secret."""
    if not text.isprintable() or len(text) > max_chars:
        return ""
    return text if text.strip() and redact_values(text) == text else ""
