"""How many records there were, and what became of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from failpath_otel.public import public


@public
@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of records since the process began or was forked. A step has two records, a skip has one.

    ``accepted`` is the sum of ``delivered``, ``waiting`` and what was lost after it had been accepted.

    Example:
        >>> stats = failpath.stats()
        >>> stats.accepted == stats.delivered + stats.waiting
        True
        >>> stats.dropped
        {}
    """

    accepted: int
    """Taken into the queue."""

    delivered: int
    """Taken by Failpath."""

    waiting: int
    """In the queue or on their way."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """Lost, by reason: ``queue_full``, ``send_failed``, ``rejected``, ``too_old``, ``shut_down``, ``invalid``, and of
    the journal ``journal_full`` and ``damaged``."""

    adopted: int = 0
    """Records that other processes have left in their journals, which this one has delivered; not among the others."""

    adopted_dropped: Mapping[str, int] = field(default_factory=dict)
    """Records of other processes that this one could not deliver, by reason."""

    oldest_waiting_seconds: float | None = field(default=None, compare=False)
    """How long the oldest of the records that wait has waited, to about a second; ``None`` if none waits."""

    journal_bytes: int | None = field(default=None, compare=False)
    """Bytes of the records that wait in the journal of this process, of 64 MiB; ``None`` if there is no journal."""


def add_up(parts: Iterable[Stats]) -> Stats:
    """Return the sum of all parts."""
    counts = list(parts)
    dropped: Counter[str] = Counter()
    adopted_dropped: Counter[str] = Counter()
    for part in counts:
        dropped.update(part.dropped)
        adopted_dropped.update(part.adopted_dropped)
    return Stats(
        sum(part.accepted for part in counts),
        sum(part.delivered for part in counts),
        sum(part.waiting for part in counts),
        dict(dropped),
        sum(part.adopted for part in counts),
        dict(adopted_dropped),
        max((part.oldest_waiting_seconds for part in counts if part.oldest_waiting_seconds is not None), default=None),
        sum(sizes) if (sizes := [part.journal_bytes for part in counts if part.journal_bytes is not None]) else None,
    )
