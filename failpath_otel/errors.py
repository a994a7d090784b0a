"""The exceptions of this package: what it raises on purpose, and what it hands to ``on_error``."""


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


class RecordsRejected(DeliveryError):  # noqa: N818 - each of these says what happened to the records
    """Records of a batch that Failpath took but for these; the text has the reason of the first. They are lost."""


class QueueFull(DeliveryError):  # noqa: N818
    """Records for which there was no room: ``max_queue_size`` records, or 16 MiB, wait already. They are lost."""


class ShutDown(DeliveryError):  # noqa: N818
    """Records that came after ``shutdown()``. They are lost."""


class InvalidRecord(DeliveryError):  # noqa: N818
    """Records that could not be made, by a fault in this package or of a span. They are lost; the log has more."""
