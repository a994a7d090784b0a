"""The metrics of a gateway beside those of every server: what becomes of records."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from failpath_otel import limits
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.serving.metrics import counter, gauge, total

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_REASONS: Final = (
    *("queue_full", "send_failed", "rejected", "too_old"),
    *("shut_down", "invalid", "journal_full", "damaged"),
)
"""Shown before they occur, because a rate needs a zero to begin with."""


def gateway_metrics(pipeline: Pipeline) -> "Iterator[Metric]":
    """Yield the current metrics of a pipeline."""
    stats = pipeline.stats()
    yield total("failpath_records_accepted", "Records taken into the queue.", stats.accepted)
    yield total("failpath_records_delivered", "Records taken by Failpath.", stats.delivered)
    yield counter("failpath_records_dropped", "Records lost, by the reason.", ("reason",), _lost(stats.dropped))
    yield total("failpath_records_adopted", "Records of ended processes that were delivered.", stats.adopted)
    adopted_dropped = _lost(stats.adopted_dropped)
    yield counter("failpath_records_adopted_dropped", "The same that were lost.", ("reason",), adopted_dropped)
    yield gauge("failpath_records_waiting", "Records in the queue or on their way.", stats.waiting)
    oldest = stats.oldest_waiting_seconds or 0.0
    yield gauge("failpath_records_oldest_waiting_seconds", "Age of the record that waits longest.", oldest)
    yield gauge(
        "failpath_queue_capacity_records",
        "Records that may wait in memory, while no journal is written.",
        pipeline.admission.max_records,
    )
    if stats.journal_bytes is not None:
        yield gauge("failpath_journal_bytes", "Bytes of the records that wait in the journal.", stats.journal_bytes)
    if pipeline.queue.journal is not None:
        capacity = limits.JOURNAL_SEGMENTS * limits.JOURNAL_SEGMENT_BYTES
        yield gauge("failpath_journal_capacity_bytes", "Bytes that the journal has room for.", capacity)
    yield gauge("failpath_delivery_failing", "1 while the last attempt to deliver has failed.", pipeline.stuck)


def _lost(counts: Mapping[str, int]) -> dict[tuple[str], int]:
    return {(reason,): number for reason, number in {**dict.fromkeys(_REASONS, 0), **counts}.items()}
