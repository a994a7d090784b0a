"""Metadata of steps, which spans carry as attributes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel.scrubbing.values import Json, clean_metadata, error_text
from failpath_otel.semconv import METADATA_JSON_PREFIX, METADATA_PREFIX

_ANY_METADATA: Final = "failpath.metadata"
_PREFIX_LENGTH: Final = len(METADATA_PREFIX)
_JSON_PREFIX_LENGTH: Final = len(METADATA_JSON_PREFIX)


def metadata_at_end(
    before: Mapping[str, Any],
    started_with: dict[str, Json],
    attributes: Mapping[str, Any],
    late: Mapping[str, Any] | None = None,
) -> dict[str, Json]:
    """Return the metadata of a step at its end.

    That is *started_with*, updated by what was set since the start and is still on the span. *before* are the
    attributes at the start, *late* those that the step has set since, uncut.
    """
    if not late:
        if attributes is before or attributes == before:  # the usual case
            return started_with
        for name, value in attributes.items():
            if type(name) is str and name.startswith(_ANY_METADATA):
                old = before.get(name)
                if old != value and not _same_list(old, value) and not _was_cut(old, value, attributes):
                    break
        else:
            return started_with
        late = {}
    known = {**before, **late}
    evicted = {name: value for name, value in late.items() if name not in attributes}
    # In the order of the span, in which it was set: a key may be there as a value and as JSON.
    uncut = {
        name: known[name] if _was_cut(known.get(name), value, attributes) else value
        for name, value in attributes.items()
        if type(name) is str and name.startswith(_ANY_METADATA)
    }
    return clean_metadata({**started_with, **metadata_from({**evicted, **uncut})})


def _same_list(before: object, after: object) -> bool:
    """Return whether *after* is the tuple that the SDK makes of the list *before*."""
    return isinstance(before, list) and isinstance(after, tuple) and tuple(before) == after


def _was_cut(before: object, after: object, attributes: Mapping[str, Any]) -> bool:
    """Return whether a host's limit on attribute lengths has truncated a text or the texts of a list.

    If so, no text on the span is longer than what is left of that one.
    """
    if isinstance(before, str) and isinstance(after, str):
        if len(after) >= len(before) or not before.startswith(after):
            return False
    elif not isinstance(before, list) or not isinstance(after, tuple) or len(after) != len(before):
        return False
    most = max((len(text) for value in attributes.values() for text in _texts(value)), default=0)
    if isinstance(before, str):
        return before[:most] == after
    return all((old[:most] if isinstance(old, str) else old) == new for old, new in zip(before, after, strict=True))


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return (item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def metadata_from(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """Return the metadata among the attributes of a span, as it stands there."""
    metadata: dict[str, Json] = {}
    for name, value in attributes.items():
        if type(name) is not str or not name.startswith(_ANY_METADATA):
            continue
        if name.startswith(METADATA_PREFIX):
            metadata[name[_PREFIX_LENGTH:]] = list(value) if type(value) is tuple else value
        elif name.startswith(METADATA_JSON_PREFIX):
            try:
                metadata[name[_JSON_PREFIX_LENGTH:]] = msgspec.json.decode(value)
            except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
                # JSON that a host's limit has truncated is still useful as text, redacted because it has keys in it.
                metadata[name[_JSON_PREFIX_LENGTH:]] = error_text(value, limits.MAX_METADATA_TEXT_CHARS)
    return metadata
