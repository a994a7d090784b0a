"""What a step is before it begins: its names and its metadata, for one call or all calls of a decorated function."""

from collections.abc import Mapping
from typing import Final

from failpath_otel.scrubbing.values import Json, clean_metadata
from failpath_otel.step_state import RunIdentity
from failpath_otel.steps.attributes import Attributes, merged, step_attributes


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
        """Return the start attributes of the step's span, made once; nothing may change them."""
        attributes = self._attributes
        if attributes is None:
            attributes = self._attributes = step_attributes(self.run, self.step_key, self.metadata)
        return attributes

    def with_metadata(self, metadata: object) -> "StepDefinition":
        """Return this step with more metadata; later values win."""
        return StepDefinition(self.run, self.step_key, merged(self.metadata, clean_metadata(metadata)))
