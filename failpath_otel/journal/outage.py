"""Whether a journal can be written, and what the log shows of an outage."""

import errno
from math import inf
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.report import warn

_FAILING: Final = (
    "Failpath: the journal in %s fails: %s. Until it is back, records wait in memory, where there is less room for "
    "them, and are lost if the process is killed.%s"
)
_ADVICE: Final = " FAILPATH_JOURNAL names another directory."
_LOCATION_ERRORS: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}
"""Errors that are more often about the directory than temporary."""

_RECOVERED: Final = (
    "Failpath: the journal in %s is written again after %.1f s; it contains the records that waited in memory."
)


class Outage:
    """The time during which a journal cannot be written, from the first failure until all records are in it again.

    The retry delay doubles with each failure, even if the journal worked for a moment in between.
    """

    def __init__(self, path: str) -> None:
        self._path: Final = path
        self._failures = 0
        self._next_try = 0.0
        self._since: float | None = None
        self._ended = -inf
        self._pending_warnings: list[tuple[str, tuple[object, ...]]] = []

    def record_failure(self, error: Exception) -> None:
        """Record a failure and schedule the next try."""
        now = monotonic()
        if self._since is None:
            self._since = now
            if now - self._ended > limits.JOURNAL_RETRY_SECONDS:
                self._failures = 0
            advice = _ADVICE if getattr(error, "errno", None) in _LOCATION_ERRORS else ""
            self._pending_warnings.append((_FAILING, (getattr(error, "strerror", None) or error, advice)))
        delay = limits.JOURNAL_RETRY_FIRST_SECONDS * 2 ** min(self._failures, 16)
        self._failures += 1
        self._next_try = now + min(delay, limits.JOURNAL_RETRY_SECONDS)

    def record_recovery(self) -> None:
        """Record that all records from memory are in the journal again."""
        since, self._since = self._since, None
        if since is not None:
            self._ended = monotonic()
            self._pending_warnings.append((_RECOVERED, (self._ended - since,)))

    def may_retry(self) -> bool:
        """Return whether the next try is due."""
        return monotonic() >= self._next_try

    def log_pending(self) -> None:
        """Log the messages that are due; not under a lock, because a logging handler takes locks of its own."""
        while self._pending_warnings:
            text, arguments = self._pending_warnings.pop(0)
            warn(text, self._path, *arguments)
