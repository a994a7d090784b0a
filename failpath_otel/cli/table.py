"""Formats runs as a table for a terminal."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Final

from failpath_otel.cli.printable import printable
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import RunView, StepView

_RUN_WIDTH: Final = 36
_FLOW_WIDTH: Final = 20
_STATUS_WIDTH: Final = 8
_STARTED_WIDTH: Final = 19
_DURATION_WIDTH: Final = 9
_GAP: Final = "  "
_WIDTH: Final = _RUN_WIDTH + _FLOW_WIDTH + _STATUS_WIDTH + _STARTED_WIDTH + _DURATION_WIDTH + 4 * len(_GAP)

_BOLD: Final = "1"
_COLOURS: Final = {"running": "33", "silent": "35", "gone": "31", "success": "32", "error": "31", "skipped": "2"}
_NOTHING: Final = "-"

_SMALL_UNITS: Final = ((9.95, 1, 1, "ms"), (999.5, 1, 0, "ms"), (59_995.0, 1000, 2, "s"))
"""Milliseconds below which a duration is shown so, the milliseconds of the unit, the digits and the unit."""

_ENDS: Final = 20
"""How many attempts are shown of the beginning and of the end of a run that has more."""

_MANY_HOURS: Final = 1000


def format_runs(
    runs: Sequence[RunView], *, colour: bool = False, whole: bool = False, zone: tzinfo | None = None
) -> str:
    """Return the runs as a table of at most 100 columns, each with its steps below it; ends in a line break.

    What runs, but is silent or has lost its process, is shown as ``silent`` or ``gone``. Times are shown in ``zone``,
    by default this machine's. Text from outside is shortened where it does not fit, and characters in it that would
    steer the terminal appear as escapes. Of a run with more than forty attempts, only ``whole=True`` shows those
    between the first and the last twenty. Only ``colour=True`` adds escape sequences.
    """
    if not runs:
        return "No runs.\n"
    heading = _row("RUN", "FLOW", "STATUS", "STARTED", "DURATION")
    lines = [_paint(heading, _BOLD, colour=colour)]
    for run in runs:
        lines.append(_run_line(run, colour=colour, zone=zone))
        left_out = 0 if whole else max(0, len(run.steps) - 2 * _ENDS)
        for number, step in enumerate(run.steps):
            if not _ENDS <= number < _ENDS + left_out:
                lines.extend(_step_lines(step, colour=colour))
            elif number == _ENDS:
                lines.append(f"      … {left_out} more attempts; --run with the id of this run shows all")
    return "".join(f"{line}\n" for line in lines)


def format_duration(milliseconds: float | None) -> str:
    """Return a duration in at most nine characters, like ``0.4 ms``, ``12.35 s``, ``27 h 03 m``; ``-`` for none."""
    if milliseconds is None:
        return _NOTHING
    # Each unit ends where its rounding would show the next one's first number: never `1000 ms` or `60.00 s`.
    for end, divisor, digits, unit in _SMALL_UNITS:
        if milliseconds < end:
            return f"{milliseconds / divisor:.{digits}f} {unit}"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return f"{minutes} m {seconds:02d} s"
    return f"{hours} h {minutes_left:02d} m" if hours < _MANY_HOURS else f"{hours // 24} d"


def _run_line(run: RunView, *, colour: bool, zone: tzinfo | None) -> str:
    return _row(
        run.run_id,
        run.flow_key,
        _status(run, colour=colour),
        _local(run.started_at, zone),
        format_duration(run.duration_ms),
    )


def _step_lines(step: StepView, *, colour: bool) -> Iterator[str]:
    attempt = f" #{step.attempt}" if step.attempt > 1 else ""
    width = _RUN_WIDTH + _FLOW_WIDTH
    name = _fit(f"  {_cut(printable(step.step_key), width - 2 - len(attempt))}{attempt}", width + len(_GAP))
    duration = _fit(format_duration(step.duration_ms), _STARTED_WIDTH + len(_GAP) + _DURATION_WIDTH, right=True)
    yield f"{name}{_GAP}{_status(step, colour=colour)}{_GAP}{duration}"
    if step.error is not None:
        text = printable(f"{step.error.name}: {step.error.message}")
        yield f"      {_paint(_cut(text, _WIDTH - 6), _COLOURS['error'], colour=colour)}"


def _row(run: str, flow: str, status: str, started: str, duration: str) -> str:
    return _GAP.join(
        (
            _fit(printable(run), _RUN_WIDTH),
            _fit(printable(flow), _FLOW_WIDTH),
            status.ljust(_STATUS_WIDTH),
            _fit(started, _STARTED_WIDTH),
            _fit(duration, _DURATION_WIDTH, right=True),
        )
    )


def _status(shown: RunView | StepView, *, colour: bool) -> str:
    # `live` is expected; `silent` and `gone` are worth showing.
    word = shown.liveness if shown.liveness in ("silent", "gone") else shown.status
    return _paint(word.ljust(_STATUS_WIDTH), _COLOURS[word], colour=colour)


def _local(timestamp: str, zone: tzinfo | None) -> str:
    moment = datetime.fromtimestamp(parse_rfc3339(timestamp) // 1_000_000, timezone.utc)
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _fit(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` in exactly ``width`` columns."""
    text = _cut(text, width)
    padding = " " * (width - sum(map(_columns, text)))
    return padding + text if right else text + padding


def _cut(text: str, width: int) -> str:
    """Return ``text`` if it fits into ``width`` columns, else its beginning and an ellipsis."""
    used = 0
    last = 0
    for index, char in enumerate(text):
        used += _columns(char)
        if used > width:
            return text[:last] + "…"
        if used <= width - 1:
            last = index + 1
    return text


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
