"""Events for the tests of the local receiver."""

import itertools
import socket
from typing import Any, Final

import msgspec

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status, record_id, rfc3339

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""Where the seconds of :func:`event` start; 2023-11-14T22:13:20Z."""

GONE_PROCESS: Final = ProcessInfo(2**22, socket.gethostname())
"""A process of this host that cannot be there: no system hands out that pid."""

_numbers: Final = itertools.count()


def at(seconds: float) -> str:
    """The time that lies ``seconds`` after the start."""
    return rfc3339(EPOCH_NS + round(seconds * 1_000_000) * 1000)


def event(
    status: Status,
    seconds: float,
    *,
    step: str = "pay",
    span: str = "a",
    started: float | None = None,
    duration_ms: float | None = None,
    run: str = "run-1",
    flow: str = "checkout",
    error: ErrorInfo | None = None,
    **metadata: Any,
) -> Record:
    """One event ``seconds`` after the start; each call makes another event, also with the same arguments."""
    return Record(
        id=record_id("t", span, f"{status}{next(_numbers)}", round(seconds * 1e9)),
        flow_key=flow,
        run_id=run,
        step_key=step,
        status=status,
        timestamp=at(seconds),
        trace_id="trace",
        span_id=span,
        metadata=metadata,
        started_at=None if started is None else at(started),
        duration_ms=duration_ms,
        error=error,
    )


def wire(record: Record, **changes: Any) -> dict[str, Any]:
    """The event as JSON, with fields changed; a field that is changed to ``...`` is left out."""
    fields: dict[str, Any] = msgspec.json.decode(record.to_json()) | changes
    return {name: value for name, value in fields.items() if value is not ...}
