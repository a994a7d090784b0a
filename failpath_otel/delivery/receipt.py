"""What is noted of the records of a step as they are accepted."""

from typing import Protocol


class Receipt(Protocol):
    """What is noted of the records of one step, as they are accepted.

    An exception of a signal handler may come before the number of a record is returned; who catches it finds here
    what was accepted, and what was not.
    """

    running_number: int
    """That of the ``running`` record; 0 before it is accepted."""

    outcome_reported: bool
    """Whether the outcome was accepted, or counted as lost."""
