"""Metadata as span attributes, the way :mod:`failpath_otel.semconv` names them."""

import json
from typing import Any

from failpath_otel.clean import DROPPED_KEYS, Json, clean_metadata
from failpath_otel.limits import MAX_METADATA_KEYS
from failpath_otel.semconv import METADATA_JSON_PREFIX, METADATA_PREFIX

Attributes = dict[str, Any]
"""Span attributes, every value of a type that OpenTelemetry takes."""

_SCALARS = frozenset({str, int, float, bool})
_ANY_METADATA = (METADATA_PREFIX, METADATA_JSON_PREFIX)


def metadata_attributes(metadata: object) -> Attributes:
    """``metadata``, cleaned, as span attributes.

    Scalars and lists of scalars of one type stand under ``failpath.metadata.<key>``, anything nested or mixed stands
    as JSON text under ``failpath.metadata_json.<key>``: SDKs before 1.45 silently drop maps and mixed lists.
    """
    if metadata is None:
        return {}
    return dict([_attribute(key, value) for key, value in clean_metadata(metadata).items()])


def _attribute(key: str, value: Json) -> tuple[str, Any]:
    if type(value) in _SCALARS or _is_plain_list(value):
        return METADATA_PREFIX + key, value
    return METADATA_JSON_PREFIX + key, json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_plain_list(value: Json) -> bool:
    if not isinstance(value, list) or not value:
        return False
    kind = type(value[0])
    return kind in _SCALARS and all(type(item) is kind for item in value)


def with_metadata(attributes: Attributes, more: Attributes) -> Attributes:
    """``attributes`` with the metadata attributes ``more``, later values winning, within the limit on their number.

    What does not fit is counted under :data:`failpath_otel.clean.DROPPED_KEYS`.
    """
    merged = {**attributes, **more}
    if len(merged) <= MAX_METADATA_KEYS:
        return merged
    extra = sum(name.startswith(_ANY_METADATA) for name in merged) - MAX_METADATA_KEYS
    if extra <= 0:
        return merged
    dropped_name = METADATA_PREFIX + DROPPED_KEYS
    dropped = merged.pop(dropped_name, None)
    if dropped is not None:
        extra -= 1
    for name in [name for name in merged if name.startswith(_ANY_METADATA)][MAX_METADATA_KEYS:]:
        del merged[name]
    merged[dropped_name] = max(extra, 0) + (dropped if isinstance(dropped, int) else 0)
    return merged
