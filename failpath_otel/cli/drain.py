"""Deliver what processes have left that are gone, by a command instead of by a process that lives."""

from dataclasses import dataclass, field
from time import monotonic, sleep

from failpath_otel.cli.progress import Progress
from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.sender import AttemptResult, Sender
from failpath_otel.journal.discovery import count_orphans, count_records
from failpath_otel.journal.orphan import Orphan
from failpath_otel.options.options import Options


@dataclass
class Drained:
    """What became of it."""

    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Lost, by reason."""

    damaged_files: int = 0
    """Files that were damaged beyond single records; what is known of them was said."""

    left: int = 0
    """Records that could not be delivered in time, or were not taken; they stay."""

    failure: str = ""
    """Why, if some are left."""

    bound_elsewhere: dict[str, int] = field(default_factory=dict)
    """Journals of gone processes that were for another project key, endpoint or route, by the hash of these."""


def chosen_binding(options: Options, rebind: str) -> str | None:
    """Return the hash of the journals that are delivered; ``None``: of any. See :func:`drain`."""
    return None if rebind == "all" else rebind or options.binding


def drain(
    path: str, options: Options, timeout: float, rebind: str = "", progress: Progress = lambda _done, _remark: None
) -> Drained:
    """Delivers the journals below ``path`` whose processes are gone, for at most ``timeout`` seconds.

    A failure that is about the key, the way to the endpoint or the set-up of this machine ends this, and costs no
    record: the user of the command has to correct it.

    Args:
        path: the journal directory.
        options: where to, and by which key; journals that were written for others are left alone.
        timeout: seconds.
        rebind: the hash of the journals that are to be delivered instead; ``"all"``: of any.
        progress: called with how many records are delivered or lost so far, and why the last attempt failed.
    """
    binding = chosen_binding(options, rebind)
    orphans = OrphanSource(path, binding)
    delivery = HttpClient(options)
    sender = Sender(delivery, once=True)
    deadline = monotonic() + timeout
    failure = ""

    def take(max_bytes: int) -> Batch:
        # One batch at a time, as `orphans` gives them.
        return (None if sender.retries else orphans.take(max_bytes)) or NO_BATCH

    try:
        while orphans.scan():
            left = deadline - monotonic()
            if left <= 0:
                failure = failure or f"{timeout:g} s were not enough"
                break
            progress(orphans.delivered + sum(orphans.dropped.values()), failure)
            pause = sender.retries.pause()
            if pause:
                sleep(min(pause, left))
                continue
            # The last one has all of its time, and may be over a little later.
            outcome = sender.attempt(take)
            if outcome is None:
                continue
            failure = "" if outcome.error is None else str(outcome.error)
            if outcome.settled:
                _settle(orphans, outcome)
            elif outcome.persistent:
                break
        others = {} if rebind else dict(count_orphans(path))
        others.pop(options.binding, None)
        left_there = orphans.waiting() + count_records(path, binding)
        failure = failure or orphans.trouble
        orphans.release()  # which counts what it was that is left
        return Drained(orphans.delivered, orphans.dropped, orphans.damaged_files, left_there, failure, others)
    finally:
        orphans.release()
        delivery.close()


def _settle(orphans: OrphanSource, outcome: AttemptResult) -> None:
    source = outcome.batch.source
    assert isinstance(source, Orphan)  # nothing else was taken
    orphans.settle(source, len(outcome.batch.records), outcome.delivered, outcome.reason)
