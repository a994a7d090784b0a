"""The exceptions of this package: those that it raises, and those that it passes to ``on_error``."""

from dataclasses import dataclass

from failpath_otel.public import public
from failpath_otel.semconv import Status


@public
class FailpathError(Exception):
    """The base class of all exceptions of this package."""


@public
class ConfigurationError(FailpathError, ValueError):
    """An option has a value that cannot work. The text has the option, its value and the allowed ones; no secret."""


@public
class DeliveryError(FailpathError):
    """Records did not reach Failpath; passed to ``on_error``.

    Raised only with ``throw_on_send_error``. The text has the reason and no secret, and can be logged.
    """

    def __init__(self, message: str, records: int = 0) -> None:
        super().__init__(message)
        self.records = records
        """The number of records."""
        self.raised = False
        """Whether a step or a flush has raised this error (``throw_on_send_error``)."""


@public
class SendError(DeliveryError):
    """A batch could not be sent, or Failpath did not accept it."""

    def __init__(self, message: str, records: int = 0, status: int | None = None, *, retrying: bool = False) -> None:
        super().__init__(message, records)
        self.status = status
        """The HTTP status of the answer; ``None`` where there was no answer."""
        self.retrying = retrying
        """``True``: the records are kept, and sent again. ``False``: they are lost."""


@public
@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """The identity of a rejected record, ``flow_key``, ``run_id``, ``step_key`` and ``status``; not its contents."""

    flow_key: str
    run_id: str
    step_key: str
    status: Status
    id: str
    """The ``id`` of the event."""


@public
class RecordsRejectedError(DeliveryError):
    """Failpath rejected a record and accepted the others of its batch. The record is lost."""

    def __init__(self, message: str, records: int = 0, reason: str = "", record: RejectedRecord | None = None) -> None:
        super().__init__(message, records)
        self.reason = reason
        """The reason in the words of Failpath; empty where it gave none."""
        self.record = record
        """The record; ``None`` where it is not known."""


@public
class QueueFullError(DeliveryError):
    """The queue was full: ``max_queue_size`` records, or 16 MiB, were waiting. The records are lost."""


@public
class ShutdownError(DeliveryError):
    """Records came after ``shutdown()``. They are lost."""


@public
class InvalidRecordError(DeliveryError):
    """Records could not be made, by a fault of this package or of a span. They are lost; the log has more."""


@public
class JournalError(DeliveryError):
    """Records were dropped from the journal: it was full, they were too old, or the disk failed. They are lost."""
