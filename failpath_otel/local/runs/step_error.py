"""The errors of a run: of each step the newest failed attempt, with its fingerprint."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from failpath_otel import semconv
from failpath_otel.local.runs.fingerprint import fingerprint
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import StepView

MAX_MESSAGE: Final = 200
"""Characters of an error message that a summary keeps."""

MAX_ERRORS: Final = 1_000
"""Errors of one run, those of the steps that failed first: their rows are written in one transaction."""


class StepError(NamedTuple):
    """With what a step of a run failed last; name and message may be empty.

    ``seen`` is when that attempt ended, in microseconds since the epoch. ``recovered`` says that a later attempt of the
    step did not fail.
    """

    step_key: str
    fingerprint: str
    seen: int
    recovered: bool
    name: str
    message: str


def step_errors(flow_key: str, steps: Iterable[StepView]) -> list[StepError]:
    """Return the errors of the first :data:`MAX_ERRORS` steps that have failed, one each.

    ``steps`` are the attempts of a run, of each step in order.
    """
    failed: dict[str, StepView] = {}
    newest: dict[str, StepView] = {}
    for step in steps:
        newest[step.step_key] = step
        if step.status == semconv.STATUS_ERROR:
            failed[step.step_key] = step
    some = islice(failed.items(), MAX_ERRORS)
    return [_of(flow_key, step, recovered=newest[step_key] is not step) for step_key, step in some]


def one_line(text: str) -> str:
    """Return the beginning of a text on one line."""
    # Cut twice, because white space may be most of a long text.
    return " ".join(text[: 10 * MAX_MESSAGE].split())[:MAX_MESSAGE]


def _of(flow_key: str, step: StepView, *, recovered: bool) -> StepError:
    name, message = ("", "") if step.error is None else (step.error.name, step.error.message)
    return StepError(
        step.step_key,
        fingerprint(flow_key, step.step_key, name, message),
        parse_rfc3339(step.ended_at or step.started_at or ""),
        recovered,
        one_line(name),
        one_line(message),
    )
