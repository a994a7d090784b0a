"""Why records are lost, in the words of the log and of `on_error`."""

from typing import Final, NamedTuple

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, InvalidRecordError, JournalError, QueueFullError, ShutdownError

_LOSSES: Final[dict[str, tuple[type[DeliveryError], str]]] = {
    "damaged": (JournalError, "records in the journal are damaged, or cannot be read any more, and are lost"),
    "journal_full": (JournalError, "the journal is full; its oldest records are dropped"),
    "left": (JournalError, "another process has the journal by now, and delivers what is in it"),
    "too_old": (JournalError, f"records have waited for {limits.MAX_AGE_SECONDS / 3600:.0f} hours, and are given up"),
    "queue_full": (QueueFullError, "the queue is full; new records are dropped until it empties"),
    "shut_down": (ShutdownError, "records came after the shutdown"),
    "invalid": (InvalidRecordError, "records could not be made; the log says why"),
}


class Skipped(NamedTuple):
    """Records that are lost, and the reason as `stats()` counts it."""

    records: int
    reason: str

    def error(self) -> DeliveryError:
        """Return the error that stands for the loss."""
        kind, text = _LOSSES[self.reason]
        return kind(text, self.records)
