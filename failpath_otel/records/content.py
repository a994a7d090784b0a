"""Which contents records have beyond what their spans state, and what they must not contain."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules import StepRule
from failpath_otel.report import exception_once
from failpath_otel.scrubbing.values import DROPPED_KEYS, REDACTED, Json, clean_metadata, error_text

ERROR_MESSAGE: Final = "error.message"
ERROR_STACK: Final = "error.stack"
"""The keys under which ``redact`` gets the texts of an error."""


class RecordContent:
    """Decides on the contents of records; immutable, used on any thread.

    Args:
        capture_stack: include the stack trace of an error.
        send_error_messages: include the message of an error. Without it there is no stack either, which repeats the
            message and those of its causes.
        send_process: include the process: host name, pid and start time.
        default_metadata: clean metadata of every record; that of the run and the step takes precedence.
        redact: called with the key and value of each metadata item and each text of an error; its result replaces the
            value.
        rules: which spans without attributes of this package are steps.
        many_services: whether the spans are those of many services, as those that a server takes.
    """

    def __init__(
        self,
        *,
        capture_stack: bool = False,
        send_error_messages: bool = True,
        send_process: bool = True,
        default_metadata: Mapping[str, Json] | None = None,
        redact: Callable[[str, Json], object] | None = None,
        rules: Sequence[StepRule] | None = None,
        many_services: bool = False,
    ) -> None:
        self.capture_stack: Final = capture_stack and send_error_messages
        self.error_messages: Final = send_error_messages
        self.process: Final = send_process
        self.rules: Final = Rules(rules, many_services=many_services) if rules else None
        self._default: Final = dict(default_metadata or {})
        self._redact: Final = redact
        self._redacting: Final[set[tuple[int, int]]] = set()  # processes and threads or greenlets
        self.is_identity: Final = not self._default and redact is None
        """Metadata and texts are left unchanged."""

    def metadata(self, own: Mapping[str, Json]) -> dict[str, Json]:
        """Return the metadata of a record whose run and step have *own*."""
        # The defaults come last: if there is no room for all metadata, they can be missed.
        merged: dict[str, object] = {**own, **{key: self._default[key] for key in self._default if key not in own}}
        dropped = [merged.pop(DROPPED_KEYS, 0)]
        if self._redact is not None:
            merged = {key: self._redacted(key, value) for key, value in merged.items()}
        cleaned = clean_metadata(merged)
        dropped.append(cleaned.pop(DROPPED_KEYS, 0))
        missing = sum(count for count in dropped if isinstance(count, int))
        return {**cleaned, DROPPED_KEYS: missing} if missing else cleaned

    def text(self, key: str, value: str, max_chars: int) -> str:
        """Return one text of an error, redacted before and after the ``redact`` callback."""
        return value if self._redact is None else error_text(self._redacted(key, value), max_chars)

    def _redacted(self, key: str, value: object) -> object:
        assert self._redact is not None  # checked by the callers
        here = os.getpid(), threading.get_ident()
        if here in self._redacting:
            return REDACTED  # a step inside the callback would recurse without end
        self._redacting.add(here)
        try:
            return self._redact(key, cast("Json", value))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise  # without a record
            # Its text may contain the value.
            exception_once("calling redact", with_text=False)
            return REDACTED
        finally:
            self._redacting.discard(here)
