"""Metadata as span attributes, by the names of :mod:`failpath_otel.semconv`."""

import json
from typing import Any

from failpath_otel.limits import MAX_METADATA_KEYS
from failpath_otel.scrubbing.values import DROPPED_KEYS, Json, clean_metadata
from failpath_otel.semconv import METADATA_JSON_PREFIX, METADATA_PREFIX

Attributes = dict[str, Any]
"""Span attributes; each value has a type that OpenTelemetry accepts."""

_SCALARS = frozenset({str, int, float, bool})
_IDENTITY = 3
"""How many attributes name a step: flow, run and step."""

DROPPED_NAME = METADATA_PREFIX + DROPPED_KEYS
"""The attribute with the number of metadata keys that were dropped."""

_ANY_METADATA = (METADATA_PREFIX, METADATA_JSON_PREFIX)


def metadata_attributes(metadata: object) -> Attributes:
    """Return ``metadata``, cleaned, as span attributes.

    Scalars and lists of scalars of one type stand under ``failpath.metadata.<key>``, anything nested or mixed stands as
    JSON text under ``failpath.metadata_json.<key>``: SDKs before 1.45 silently drop maps and mixed lists.
    """
    if metadata is None:
        return {}
    attributes: Attributes = {}
    for key, value in clean_metadata(metadata).items():
        if type(value) in _SCALARS or _is_plain_list(value):
            attributes[METADATA_PREFIX + key] = value
        else:
            attributes[METADATA_JSON_PREFIX + key] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return attributes


def _is_plain_list(value: Json) -> bool:
    if not isinstance(value, list) or not value:
        return False
    kind = type(value[0])
    return kind in _SCALARS and all(type(item) is kind for item in value)


def with_metadata(attributes: Attributes, more: Attributes) -> Attributes:
    """Return ``attributes`` with the metadata attributes ``more``; later values win, within the limit on their number.

    Attributes beyond it are counted under :data:`failpath_otel.scrubbing.values.DROPPED_KEYS`.
    """
    merged = {**attributes, **more}
    # Most often `attributes` has only the identity, which no metadata can clash with.
    clash = len(attributes) > _IDENTITY and any(other_kind(name) in attributes for name in more)
    if len(merged) <= MAX_METADATA_KEYS and not clash:
        return merged
    for name in more:
        merged.pop(other_kind(name), None)
    dropped = sum(given.get(DROPPED_NAME, 0) for given in (attributes, more))
    merged.pop(DROPPED_NAME, None)
    names = [name for name in merged if name.startswith(_ANY_METADATA)]
    for name in names[MAX_METADATA_KEYS:]:
        del merged[name]
    dropped += max(len(names) - MAX_METADATA_KEYS, 0)
    if dropped:
        merged[DROPPED_NAME] = dropped
    return merged


def other_kind(name: str) -> str:
    """Return the name that a metadata attribute has if its value is of the other kind, plain or JSON."""
    if name.startswith(METADATA_PREFIX):
        return METADATA_JSON_PREFIX + name[len(METADATA_PREFIX) :]
    return METADATA_PREFIX + name[len(METADATA_JSON_PREFIX) :]
