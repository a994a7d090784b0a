"""What a step is before it begins: its names and its metadata, and both as the attributes of its span.

The names of the attributes are those of :mod:`failpath_otel.semconv`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from failpath_otel.limits import MAX_METADATA_KEYS
from failpath_otel.scrubbing.values import DROPPED_KEYS, Json, clean_metadata
from failpath_otel.semconv import FLOW_KEY, METADATA_JSON_PREFIX, METADATA_PREFIX, RUN_ID, STEP_KEY
from failpath_otel.step_state import RunIdentity

Attributes = dict[str, Any]
"""Span attributes; each value has a type that OpenTelemetry accepts."""

_SCALARS = frozenset({str, int, float, bool})
_MAX_NAMES: Final = 2_048
_names: Final[dict[str, str]] = {}
"""The names of attributes by metadata keys: a program has few, and uses them with every step."""

DROPPED_NAME = METADATA_PREFIX + DROPPED_KEYS
"""The attribute with the number of metadata keys that were dropped."""


class StepDefinition:
    """The names and the start metadata of a step; immutable.

    Args:
        run: the names of the run.
        step_key: the step.
        metadata: clean metadata of run and step.
    """

    __slots__ = ("_attributes", "metadata", "run", "step_key")

    def __init__(self, run: RunIdentity, step_key: str, metadata: Mapping[str, Json]) -> None:
        self.run: Final = run
        self.step_key: Final = step_key
        self.metadata: Final = metadata
        self._attributes: Attributes | None = None

    def attributes(self) -> Attributes:
        """Return the start attributes of the step's span, made once; nothing may change them.

        The identity comes first, in a fixed order: it is set again at the end if it was evicted.
        """
        attributes = self._attributes
        if attributes is None:
            run = self.run
            attributes = {FLOW_KEY: run.flow_key, RUN_ID: run.run_id, STEP_KEY: self.step_key}
            self._attributes = named(attributes, self.metadata)
        return attributes

    def with_metadata(self, metadata: object) -> "StepDefinition":
        """Return this step with more metadata; later values win."""
        return StepDefinition(self.run, self.step_key, merged(self.metadata, clean_metadata(metadata)))


def metadata_attributes(metadata: object) -> Attributes:
    """Return ``metadata``, cleaned, as span attributes."""
    return named({}, clean_metadata(metadata))


def named(attributes: Attributes, metadata: Mapping[str, Json]) -> Attributes:
    """Add clean metadata to ``attributes`` under their names as span attributes, and return these.

    Scalars and lists of scalars of one type stand under ``failpath.metadata.<key>``, anything nested or mixed stands as
    JSON text under ``failpath.metadata_json.<key>``: SDKs before 1.45 silently drop maps and mixed lists.
    """
    for key, value in metadata.items():
        if type(value) in _SCALARS:
            attributes[_names.get(key) or _name(key)] = value
        elif _is_plain_list(value):
            attributes[METADATA_PREFIX + key] = value
        else:
            attributes[METADATA_JSON_PREFIX + key] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return attributes


def _name(key: str) -> str:
    if len(_names) >= _MAX_NAMES:
        _names.clear()  # for unbounded keys; frequent ones soon return
    name = _names[key] = METADATA_PREFIX + key
    return name


def _is_plain_list(value: Json) -> bool:
    if not isinstance(value, list) or not value:
        return False
    kind = type(value[0])
    return kind in _SCALARS and all(type(item) is kind for item in value)


def merged(metadata: Mapping[str, Json], more: dict[str, Json]) -> dict[str, Json]:
    """Return clean ``metadata`` with ``more``; later values win, within the limit on their number.

    Keys beyond it are counted under :data:`failpath_otel.scrubbing.values.DROPPED_KEYS`.
    """
    if not metadata:
        return more
    both = {**metadata, **more}
    if len(both) <= MAX_METADATA_KEYS and DROPPED_KEYS not in both:
        return both
    counts = [given.get(DROPPED_KEYS, 0) for given in (metadata, more)]
    both.pop(DROPPED_KEYS, None)
    keys = list(both)
    for key in keys[MAX_METADATA_KEYS:]:
        del both[key]
    dropped = sum(count for count in counts if isinstance(count, int)) + max(len(keys) - MAX_METADATA_KEYS, 0)
    if dropped:
        both[DROPPED_KEYS] = dropped
    return both


def other_kind(name: str) -> str:
    """Return the name that a metadata attribute has if its value is of the other kind, plain or JSON."""
    if name.startswith(METADATA_PREFIX):
        return METADATA_JSON_PREFIX + name[len(METADATA_PREFIX) :]
    return METADATA_PREFIX + name[len(METADATA_JSON_PREFIX) :]
