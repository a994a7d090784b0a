"""The JSON of errors: each kind with its figures, by its fingerprint."""

from typing import Final

import msgspec
from msgspec.structs import asdict

from failpath_otel.local.api.page.trend_answers import CommonValue
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.fingerprint import shape_of
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.errors.error_queries import ErrorCount, ErrorKind, ErrorTimes
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange
from failpath_otel.local.trends.whom import FEWEST, Whom

MAX_ERRORS: Final = 20
"""The most errors of one answer."""

BUCKETS: Final = 24

_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR


class NamedError(msgspec.Struct, frozen=True, rename="camel"):
    """A kind of error: ``shape`` is its message without what varies. Name and shape may be empty."""

    fingerprint: str
    flow_key: str
    step_key: str
    name: str
    shape: str


class FlowError(NamedError, frozen=True):
    """A kind of error with its figures.

    ``count`` is the number of runs that ended its step with it, ``share`` that of the ended runs of the flow, both of
    the newest runs in the range; in ``recovered`` runs of these a later attempt of the step did not fail. ``total``,
    ``first_seen`` and ``last_seen`` are of all stored runs. ``is_new``: first seen in the last 24 hours, in a flow with
    older runs. ``buckets`` are the runs that had it in each part of the time of the answer. ``common`` is a value of
    the metadata that nearly all of its runs have, the newest that were compared, and most good runs of the flow not.
    """

    message: str
    newest_run_id: str
    count: int
    share: float | None
    recovered: int
    total: int
    first_seen: str
    last_seen: str
    is_new: bool
    buckets: list[int]
    common: CommonValue | None


class FlowErrors(msgspec.Struct, frozen=True, rename="camel"):
    """The most frequent errors, and how many kinds there are; buckets divide the time from ``since`` to ``until``."""

    kinds: int
    since: str
    until: str
    errors: list[FlowError]


class ErrorList(FlowErrors, frozen=True):
    """The most frequent errors of all flows: ``counted`` were counted, which are the newest ``window`` at most."""

    revision: int
    now: str
    counted: int
    window: int


def named_error(kind: ErrorKind) -> NamedError:
    """Return what is shown of a kind of error without its figures."""
    return NamedError(kind.fingerprint, kind.flow_key, kind.step_key, kind.name, shape_of(kind.message))


def errors_of(
    receiver: Receiver,
    counts: list[ErrorCount],
    ended: int | None,
    within: TimeRange = ALL_TIME,
    limit: int = MAX_ERRORS,
) -> FlowErrors:
    """Return the first of these errors with their figures; ``ended`` is the number of runs that a share is of."""
    queries, now, whom = receiver.store.errors, receiver.clock(), Whom(receiver.store)
    found: list[tuple[ErrorCount, ErrorKind, ErrorTimes]] = []
    for count in counts[:limit]:
        kind, times = queries.kind(count.fingerprint), queries.times(count.fingerprint)
        # It may have been deleted meanwhile.
        if kind is not None and times is not None:
            found.append((count, kind, times))
    edges = _edges(within, min((times.first_seen for *_, times in found), default=now), now)
    flows = {kind.flow_key for _, kind, _ in found}
    begun = {flow_key: queries.oldest_activity(flow_key) or now for flow_key in flows}
    return FlowErrors(
        len(counts),
        to_rfc3339(edges[0]),
        to_rfc3339(edges[-1]),
        [
            FlowError(
                **asdict(named_error(kind)),
                message=kind.message,
                newest_run_id=kind.run_id,
                count=count.failed,
                share=count.failed / ended if ended else None,
                recovered=count.recovered,
                total=times.total,
                first_seen=to_rfc3339(times.first_seen),
                last_seen=to_rfc3339(times.last_seen),
                is_new=times.first_seen >= now - _DAY > begun[kind.flow_key],
                buckets=queries.counts(count.fingerprint, edges),
                common=_common(whom, count, kind, within),
            )
            for count, kind, times in found
        ],
    )


def _common(whom: Whom, count: ErrorCount, kind: ErrorKind, within: TimeRange) -> CommonValue | None:
    if count.failed + count.recovered < FEWEST:
        return None
    common = whom.common(kind.flow_key, kind.fingerprint, within)
    return None if common is None else CommonValue(*common)


def _edges(within: TimeRange, first: int, now: int) -> list[int]:
    """Return the ends of the buckets: of the range, where it is open of the time since the first error."""
    until = now + 1 if within.until is None else within.until
    since = min(first, until - _HOUR) if within.since is None else within.since
    since = max(0, min(since, until - BUCKETS))
    until = max(until, since + BUCKETS)
    return [since + (until - since) * place // BUCKETS for place in range(BUCKETS + 1)]
