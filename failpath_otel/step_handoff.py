"""What travels from the code that opens a step to the reporter of its span, beside the span (decision 0002).

A module of its own, because ``steps`` and ``records`` both need it, and neither may import the other.
"""

from collections.abc import Mapping
from typing import Any, Final

HANDOFF_KEY: Final = "failpath.step.start"
"""Context key of a :class:`StepHandoff`, in the context that is passed to ``start_span`` and in no other."""


class StepHandoff:
    """One step, as the code that opens it hands it to the reporter of its span.

    Args:
        attributes: the start attributes of the step's span, uncut: the host may limit the length of values, and the
            SDK applies that limit before any span processor runs.
        owner: the only reporter that may report the step; ``None``: any may.
    """

    __slots__ = (
        "__weakref__",
        "added_attributes",
        "attributes",
        "exception",
        "last_record",
        "owner",
        "reported_span",
        "reporter",
        "spans",
        "start",
    )

    def __init__(self, attributes: Mapping[str, Any], owner: object = None) -> None:
        self.attributes = attributes
        self.owner = owner
        self.added_attributes: Mapping[str, Any] | None = None
        """Attributes that were set since the start."""
        self.exception: Mapping[str, Any] | None = None
        """Attributes of the ``exception`` event of an error; set before the span ends."""
        self.spans: tuple[Any, ...] = ()
        """The spans that were started for the step so far, that of the host first."""
        self.reported_span: Any = None
        """Set by the reporter: the span whose start it has reported. Any other span with this handoff is no step."""
        self.reporter: Any = None
        """Set by the reporter: itself. It takes the outcome where the span cannot carry it."""
        self.start: Any = None
        """Set by the reporter: its ``StepStart``."""
        self.last_record: Any = None
        """Set by the reporter: the pipeline and the number of the step's last record; number 0: it was refused."""
