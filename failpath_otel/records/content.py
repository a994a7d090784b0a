"""What a record carries beyond what its span says, and what it must not show."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from failpath_otel.records.rules import Rules, StepRule
from failpath_otel.report import exception_once
from failpath_otel.scrubbing.values import DROPPED_KEYS, REDACTED, Json, clean_metadata, error_text

ERROR_MESSAGE: Final = "error.message"
ERROR_STACK: Final = "error.stack"
"""The keys under which ``redact`` gets the texts of an error."""


class RecordContent:
    """The options that decide on the contents of records.

    Args:
        capture_stack: put the stack trace of an error into its record.
        send_error_messages: put the message of an error into its record; without it the stack stays away too, which
            has the same message in it, and those of its causes.
        send_process: put the process into the record: host name, pid and start time.
        default_metadata: clean metadata for every record, under that of the run and the step.
        redact: called with the key and the value of each metadata item, and of each text of an error; what it returns
            takes the value's place.
        rules: which spans are steps although they carry none of our names.
    """

    __slots__ = (
        "_default",
        "_redact",
        "_redacting",
        "capture_stack",
        "error_messages",
        "is_identity",
        "process",
        "rules",
    )

    def __init__(
        self,
        *,
        capture_stack: bool = False,
        send_error_messages: bool = True,
        send_process: bool = True,
        default_metadata: Mapping[str, Json] | None = None,
        redact: Callable[[str, Json], object] | None = None,
        rules: Sequence[StepRule] | None = None,
    ) -> None:
        self.capture_stack: Final = capture_stack and send_error_messages
        self.error_messages: Final = send_error_messages
        self.process: Final = send_process
        self.rules: Final = Rules(rules) if rules else None
        self._default: Final = dict(default_metadata or {})
        self._redact: Final = redact
        self._redacting: Final[set[tuple[int, int]]] = set()  # on which threads, or greenlets, of which processes
        self.is_identity: Final = not self._default and redact is None
        """Metadata and texts stay what they are."""

    def metadata(self, own: Mapping[str, Json]) -> dict[str, Json]:
        """The metadata of a record whose run and step have ``own``."""
        # What is the same on every record comes last: where there is no room for all, it is what can be missed.
        merged: dict[str, object] = {**own, **{key: self._default[key] for key in self._default if key not in own}}
        dropped = [merged.pop(DROPPED_KEYS, 0)]
        if self._redact is not None:
            merged = {key: self._redacted(key, value) for key, value in merged.items()}
        cleaned = clean_metadata(merged)
        dropped.append(cleaned.pop(DROPPED_KEYS, 0))
        missing = sum(count for count in dropped if isinstance(count, int))
        return {**cleaned, DROPPED_KEYS: missing} if missing else cleaned

    def text(self, key: str, value: str, max_chars: int) -> str:
        """One text of an error, from which secrets were taken out already; what ``redact`` returns has none either."""
        return value if self._redact is None else error_text(self._redacted(key, value), max_chars)

    def _redacted(self, key: str, value: object) -> object:
        assert self._redact is not None  # or nobody would have asked
        here = os.getpid(), threading.get_ident()
        if here in self._redacting:
            return REDACTED  # the callback has steps of its own, whose metadata would be redacted without end
        self._redacting.add(here)
        try:
            return self._redact(key, cast("Json", value))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise  # and no record is made
            # Its text may be about the value.
            exception_once("calling redact", with_text=False)
            return REDACTED
        finally:
            self._redacting.discard(here)
