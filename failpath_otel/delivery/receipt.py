"""What identifies a record on its way: its ticket, and the receipt of the records of one step."""

from typing import Protocol

Ticket = int
"""What identifies a record that was accepted; 0 for none.

Either its number in the order of all that were accepted, or a place in the journal, which has a number once it is asked
for: :meth:`failpath_otel.delivery.queue.RecordQueue.number_of`. Batches, waiters and losses have numbers, which only
the queue computes with; all others compare them (decisions 0033 and 0035).
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
