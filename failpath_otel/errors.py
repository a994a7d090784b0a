"""The exceptions of this package: what it raises on purpose, and what it hands to ``on_error``."""

from dataclasses import dataclass

from failpath_otel.public import public
from failpath_otel.semconv import Status


@public
class FailpathError(Exception):
    """The base of all exceptions here."""


@public
class ConfigurationError(FailpathError, ValueError):
    """An option that cannot work. The text names the option, what was given and what is allowed, never a secret."""


@public
class DeliveryError(FailpathError):
    """Records that did not reach Failpath, and why; given to ``on_error``.

    Raised only where ``throw_on_send_error`` asks for it. The text can be logged: it holds no secret.
    """

    def __init__(self, message: str, records: int = 0) -> None:
        super().__init__(message)
        self.records = records
        """How many records this is about."""
        self.raised = False
        """A step or a flush has raised it (``throw_on_send_error``)."""


@public
class SendError(DeliveryError):
    """A batch that could not be sent, or that Failpath did not take."""

    def __init__(self, message: str, records: int = 0, status: int | None = None, *, retrying: bool = False) -> None:
        super().__init__(message, records)
        self.status = status
        """The HTTP status of the answer; ``None`` where there was no answer."""
        self.retrying = retrying
        """The records are kept, and sent again; where this is ``False``, they are lost."""


@public
@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """Which record it was, by its ``flow_key``, ``run_id``, ``step_key`` and ``status``, without what it carried."""

    flow_key: str
    run_id: str
    step_key: str
    status: Status
    id: str
    """The ``id`` of the event."""


@public
class RecordsRejectedError(DeliveryError):
    """A record that Failpath rejected, while it took the others of its batch. It is lost."""

    def __init__(self, message: str, records: int = 0, reason: str = "", record: RejectedRecord | None = None) -> None:
        super().__init__(message, records)
        self.reason = reason
        """Why, in Failpath's words; empty where it did not say."""
        self.record = record
        """Which record; ``None`` where that cannot be told."""


@public
class QueueFullError(DeliveryError):
    """Records for which there was no room: ``max_queue_size`` records, or 16 MiB, wait already. They are lost."""


@public
class ShutdownError(DeliveryError):
    """Records that came after ``shutdown()``. They are lost."""


@public
class InvalidRecordError(DeliveryError):
    """Records that could not be made, by a fault in this package or of a span. They are lost; the log has more."""


@public
class JournalError(DeliveryError):
    """Records that were dropped from the journal: it was full, they were too old, or the disk failed. They are lost."""
