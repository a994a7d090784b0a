"""The exceptions of this package: those that it raises, and those that it passes to ``on_error``."""

from dataclasses import dataclass

from failpath_otel.public import public
from failpath_otel.semconv import Status


@public
class FailpathError(Exception):
    """The base class of all exceptions of this package.

    Example:
        >>> import failpath_otel
        >>> try:
        ...     failpath_otel.configure(project_key="fp_project_xxx", compression="zip")
        ... except failpath_otel.FailpathError as error:
        ...     print(type(error).__name__)
        ConfigurationError
    """


@public
class ConfigurationError(FailpathError, ValueError):
    """An option has an invalid value. The text has the option, its value and the allowed values, but no secret.

    Example:
        >>> import failpath_otel
        >>> try:
        ...     failpath_otel.configure(project_key="fp_project_xxx", compression="zip")
        ... except failpath_otel.ConfigurationError as error:
        ...     print(error)
        compression must be 'none' or 'gzip', got 'zip' (str)
    """


@public
class DeliveryError(FailpathError):
    """Records did not reach Failpath; passed to ``on_error``.

    Raised only with ``throw_on_send_error``. The text has the reason but no secret, so it is safe to log.

    Example:
        >>> import failpath_otel
        >>> def report(error: failpath_otel.DeliveryError) -> None:
        ...     print(f"{error.records} records: {error}")
        >>> failpath = failpath_otel.configure(project_key="fp_project_xxx", on_error=report)
    """

    def __init__(self, message: str, records: int = 0) -> None:
        super().__init__(message)
        self.records = records
        """The number of records."""
        self.raised = False
        """Whether a step or a flush has raised this error (``throw_on_send_error``)."""


@public
class SendError(DeliveryError):
    """A batch could not be sent, or Failpath did not accept it.

    Example:
        >>> from failpath_otel import SendError
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, SendError) and not error.retrying:
        ...         print(f"{error.records} records are lost: status {error.status}")
        >>> report(SendError("https://api.failpath.dev answered 400", 2, 400))
        2 records are lost: status 400
    """

    def __init__(self, message: str, records: int = 0, status: int | None = None, *, retrying: bool = False) -> None:
        super().__init__(message, records)
        self.status = status
        """The HTTP status of the answer; ``None`` where there was no answer."""
        self.retrying = retrying
        """``True``: the records are kept, and sent again. ``False``: they are lost."""


@public
@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """The identity of a rejected record, ``flow_key``, ``run_id``, ``step_key`` and ``status``; not its contents.

    Example:
        >>> from failpath_otel import RejectedRecord
        >>> record = RejectedRecord("checkout", "order-17", "charge-card", "success", id="1f")
        >>> f"{record.step_key} {record.status}"
        'charge-card success'
    """

    flow_key: str
    run_id: str
    step_key: str
    status: Status
    id: str
    """The ``id`` of the event."""


@public
class RecordsRejectedError(DeliveryError):
    """Failpath rejected a record and accepted the others of its batch. The record is lost.

    Example:
        >>> from failpath_otel import RecordsRejectedError, RejectedRecord
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, RecordsRejectedError) and error.record is not None:
        ...         print(f"{error.record.step_key}: {error.reason}")
        >>> rejected = RejectedRecord("checkout", "order-17", "charge-card", "success", id="1f")
        >>> report(RecordsRejectedError("rejected", 1, "unknown flow", rejected))
        charge-card: unknown flow
    """

    def __init__(self, message: str, records: int = 0, reason: str = "", record: RejectedRecord | None = None) -> None:
        super().__init__(message, records)
        self.reason = reason
        """The reason in the words of Failpath; empty where it gave none."""
        self.record = record
        """The record; ``None`` where it is not known."""


@public
class QueueFullError(DeliveryError):
    """The queue was full: ``max_queue_size`` records, or 16 MiB, were waiting. The records are lost.

    Example:
        >>> from failpath_otel import QueueFullError
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, QueueFullError):
        ...         print(f"{error.records} records had no room")
        >>> report(QueueFullError("the queue is full", 2))
        2 records had no room
    """


@public
class ShutdownError(DeliveryError):
    """Records came after ``shutdown()``. They are lost.

    Example:
        >>> from failpath_otel import ShutdownError
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, ShutdownError):
        ...         print(f"{error.records} records came after the shutdown")
        >>> report(ShutdownError("shut down", 2))
        2 records came after the shutdown
    """


@public
class InvalidRecordError(DeliveryError):
    """Records could not be made, because of a fault in this package or in a span. They are lost; the log has details.

    Example:
        >>> from failpath_otel import InvalidRecordError
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, InvalidRecordError):
        ...         print(f"{error.records} records could not be made; the log has details")
        >>> report(InvalidRecordError("a fault", 1))
        1 records could not be made; the log has details
    """


@public
class JournalError(DeliveryError):
    """Records were dropped from the journal: it was full, they were too old, or the disk failed. They are lost.

    Example:
        >>> from failpath_otel import JournalError
        >>> def report(error):  # on_error=report
        ...     if isinstance(error, JournalError):
        ...         print(f"{error.records} records were dropped from the journal")
        >>> report(JournalError("the journal is full", 2))
        2 records were dropped from the journal
    """
