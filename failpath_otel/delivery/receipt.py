"""What identifies a record on its way: its ticket, and the receipt of the records of one step."""

from typing import Protocol

Ticket = int
"""The place of a record in the order of all that were accepted; 0 before the first.

Only the queue computes with tickets, which it gives; all others compare them.
"""


class Receipt(Protocol):
    """The state of the records of one step, written while they are accepted.

    An exception of a signal handler may come before the ticket of a record is returned; the code that catches it finds
    here what was accepted.
    """

    running_ticket: Ticket
    """The ticket of the ``running`` record; 0 before it is accepted."""

    outcome_reported: bool
    """Whether the outcome was accepted, or counted as lost."""
