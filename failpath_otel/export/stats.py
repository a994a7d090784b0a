"""How many records there were, and what became of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of records since the process began or was forked. A step has two records, a skip has one.

    ``accepted`` is the sum of ``delivered``, ``waiting`` and what was lost after it had been accepted.
    """

    accepted: int
    """Taken into the queue."""

    delivered: int
    """Taken by Failpath."""

    waiting: int
    """In the queue or on their way."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """Lost, by reason: ``queue_full``, ``send_failed``, ``too_old``, ``rejected``, ``shut_down``, ``invalid``."""


def add_up(parts: Iterable[Stats]) -> Stats:
    """The sum of all parts."""
    counts = list(parts)
    dropped: Counter[str] = Counter()
    for part in counts:
        dropped.update(part.dropped)
    return Stats(
        sum(part.accepted for part in counts),
        sum(part.delivered for part in counts),
        sum(part.waiting for part in counts),
        dict(dropped),
    )
