"""Retries: attempts of a step that began after a failed one of it had ended."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from failpath_otel import semconv
from failpath_otel.records.record import Status

# In this order where they happen at once.
_FAILED: Final = 0
_BEGAN: Final = 1
_FAILED_AT_ONCE: Final = 2


class _Attempt(Protocol):
    @property
    def step_key(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def started(self) -> int | None: ...
    @property
    def ended(self) -> int | None: ...


def retries_by_step(attempts: Iterable[_Attempt]) -> dict[str, int]:
    """Return how many of the attempts of a run are retries, by the key of each step that has failed.

    Each failed attempt has at most one retry, the first that began after it. An attempt after a successful one is none,
    as in a loop, and neither is a skip. An attempt without a start began when it ended.
    """
    attempts = list(attempts)
    failed = {attempt.step_key for attempt in attempts if attempt.status == semconv.STATUS_ERROR}
    if not failed:
        return {}
    by_step: dict[str, list[_Attempt]] = {step_key: [] for step_key in failed}
    for attempt in attempts:
        if attempt.step_key in failed:
            by_step[attempt.step_key].append(attempt)
    return {step_key: _retries(own) for step_key, own in by_step.items()}


def _retries(attempts: Sequence[_Attempt]) -> int:
    if len(attempts) == 1:
        return 0
    moments: list[tuple[int, int]] = []
    for attempt in attempts:
        began, ended = attempt.started, attempt.ended
        if began is None:
            began = ended
        if began is None or attempt.status == semconv.STATUS_SKIPPED:
            continue
        moments.append((began, _BEGAN))
        if attempt.status == semconv.STATUS_ERROR and ended is not None:
            # A clock that was set back may end it before its start.
            moments.append((ended, _FAILED) if ended > began else (began, _FAILED_AT_ONCE))
    waiting = retries = 0
    for _, kind in sorted(moments):
        if kind != _BEGAN:
            waiting += 1
        elif waiting:
            waiting -= 1
            retries += 1
    return retries
