"""What a record carries beyond what its span says, and what it must not show."""

from collections.abc import Callable, Mapping
from typing import Final

from failpath_otel import limits
from failpath_otel.clean import DROPPED_KEYS, REDACTED, Json, clean_metadata, text_of
from failpath_otel.report import report_fault

ERROR_MESSAGE: Final = "error.message"
ERROR_STACK: Final = "error.stack"
"""The keys under which ``redact`` gets the texts of an error."""


class Policy:
    """The options that decide on the contents of records.

    Args:
        capture_stack: put the stack trace of an error into its record.
        default_metadata: clean metadata for every record, under that of the run and the step.
        redact: called with the key and the value of each metadata item, and of each text of an error; what it returns
            takes the value's place.
    """

    __slots__ = ("_default", "_redact", "capture_stack", "plain")

    def __init__(
        self,
        *,
        capture_stack: bool = False,
        default_metadata: Mapping[str, Json] | None = None,
        redact: Callable[[str, Json], object] | None = None,
    ) -> None:
        self.capture_stack: Final = capture_stack
        self._default: Final = dict(default_metadata or {})
        self._redact: Final = redact
        self.plain: Final = not self._default and redact is None
        """Metadata and texts stay what they are."""

    def metadata(self, own: Mapping[str, Json]) -> dict[str, Json]:
        """The metadata of a record whose run and step have ``own``."""
        merged = {**self._default, **own}
        missing = len(merged) - limits.MAX_METADATA_KEYS
        if missing > 0:
            # What is the same on every record goes first; one more, because the count takes a place itself.
            for key in [key for key in self._default if key not in own][: missing + 1]:
                del merged[key]
            merged[DROPPED_KEYS] = missing + 1
        if self._redact is None:
            return merged
        return {key: self._redacted(key, value) for key, value in merged.items()}

    def text(self, key: str, value: str, max_chars: int) -> str:
        """One text of an error."""
        return value if self._redact is None else text_of(self._redacted(key, value), max_chars)

    def _redacted(self, key: str, value: Json) -> Json:
        assert self._redact is not None  # or nobody would have asked
        try:
            return clean_metadata({key: self._redact(key, value)}).get(key)
        except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - a callback of the user's may raise anything
            report_fault("calling redact")
            return REDACTED
