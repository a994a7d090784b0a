"""Summaries for the tests of what is worked out from them."""

import itertools
from collections.abc import Sequence
from typing import Final

from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.run_row import RunRow, StoredRun
from failpath_otel.records.record import ProcessInfo, Status

_numbers: Final = itertools.count()


def attempt(
    step: str,
    started: int | None,
    ended: int | None,
    status: Status | None = None,
    *,
    newest: bool = True,
    duration_ms: float | None = None,
    error: tuple[str, str] | None = None,
    span: str | None = None,
    parent: str | None = None,
    process: ProcessInfo | None = None,
) -> AttemptSummary:
    """An attempt, by default a success of as many milliseconds as there are microseconds between start and end."""
    if status is None:
        status = "running" if ended is None else "skipped" if started is None else "success"
    if duration_ms is None and started is not None and ended is not None:
        duration_ms = float(ended - started)
    name, message = error or (None, None)
    span_id = f"{next(_numbers):016x}" if span is None else span
    return AttemptSummary(
        step, status, started, ended, duration_ms, name, message, "trace", span_id, process, newest, parent
    )


def stored(
    run_id: str,
    attempts: Sequence[AttemptSummary] = (),
    *,
    status: Status = "success",
    duration_ms: float | None = None,
    active_at: int = 0,
    failed_attempts: int = 0,
    retries: int = 0,
) -> StoredRun:
    """A run as the store has it; of its row only what figures are made of is meaningful."""
    row = RunRow(
        flow_key="checkout",
        run_id=run_id,
        status=status,
        started=0,
        ended=None,
        duration_ms=duration_ms,
        active_at=active_at,
        steps=len(attempts),
        failed=0,
        failed_attempts=failed_attempts,
        retries=retries,
        step_key=None,
        message=None,
        revision=1,
    )
    return StoredRun(row, list(attempts))
