"""The exceptions of this package: what it raises on purpose, and what it hands to ``on_error``."""

from dataclasses import dataclass

from failpath_otel.semconv import Status


class FailpathError(Exception):
    """The base of all exceptions here."""


class ConfigurationError(FailpathError, ValueError):
    """An option that cannot work. The text names the option, what was given and what is allowed, never a secret."""


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


class SendError(DeliveryError):
    """A batch that could not be sent, or that Failpath did not take."""

    def __init__(self, message: str, records: int = 0, status: int | None = None, *, retrying: bool = False) -> None:
        super().__init__(message, records)
        self.status = status
        """The HTTP status of the answer; ``None`` where there was no answer."""
        self.retrying = retrying
        """The records are kept, and sent again; where this is ``False``, they are lost."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """Which record it was, without what it carried."""

    flow_key: str
    run_id: str
    step_key: str
    status: Status
    id: str
    """The ``id`` of the event."""


class RecordsRejected(DeliveryError):  # noqa: N818 - each of these says what happened to the records
    """A record that Failpath rejected, while it took the others of its batch. It is lost."""

    def __init__(self, message: str, records: int = 0, reason: str = "", record: RejectedRecord | None = None) -> None:
        super().__init__(message, records)
        self.reason = reason
        """Why, in Failpath's words; empty where it did not say."""
        self.record = record
        """Which record; ``None`` where that cannot be told."""


class QueueFull(DeliveryError):  # noqa: N818
    """Records for which there was no room: ``max_queue_size`` records, or 16 MiB, wait already. They are lost."""


class ShutDown(DeliveryError):  # noqa: N818
    """Records that came after ``shutdown()``. They are lost."""


class InvalidRecord(DeliveryError):  # noqa: N818
    """Records that could not be made, by a fault in this package or of a span. They are lost; the log has more."""


class JournalError(DeliveryError):
    """Records that were dropped from the journal: it was full, they were too old, or the disk failed. They are lost."""
