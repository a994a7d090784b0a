"""Formats runs as a table for a terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Final

from failpath_otel.cli.printable import printable
from failpath_otel.cli.step_details import step_details
from failpath_otel.cli.terminal import BOLD, DEFAULT_WIDTH, FAINT, GREEN, PURPLE, RED, YELLOW, cut, fit, paint
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import RunView, StepView

STATUS_WIDTH: Final = 8
DURATION_WIDTH: Final = 9

_RUN_WIDTH: Final = 36
_FLOW_WIDTH: Final = 20
_STARTED_WIDTH: Final = 19
_GAP: Final = "  "
_NARROWEST_FLOW: Final = 10

_COLOURS: Final = {
    "running": YELLOW,
    "silent": PURPLE,
    "gone": RED,
    "success": GREEN,
    "error": RED,
    "skipped": FAINT,
}
_NOTHING: Final = "-"

_SMALL_UNITS: Final = ((9.95, 1, 1, "ms"), (999.5, 1, 0, "ms"), (59_995.0, 1000, 2, "s"))
"""Milliseconds below which a duration is shown so, the milliseconds of the unit, the digits and the unit."""

_ENDS: Final = 20
"""How many attempts are shown of the beginning and of the end of a run that has more."""

_MANY_HOURS: Final = 1000


class _Columns:
    """The widths of the columns of a table that has ``width`` columns of a terminal."""

    def __init__(self, width: int) -> None:
        more = width - DEFAULT_WIDTH
        # The id of a run has to be whole to be asked for, and is cut last.
        self.flow: Final = max(_FLOW_WIDTH + (more // 2 if more > 0 else more), _NARROWEST_FLOW)
        self.run: Final = _RUN_WIDTH + more - (self.flow - _FLOW_WIDTH)
        self.text: Final = width


def format_runs(
    runs: Sequence[RunView],
    *,
    colour: bool = False,
    whole: bool = False,
    zone: tzinfo | None = None,
    width: int = DEFAULT_WIDTH,
) -> str:
    """Return the runs as a table of at most ``width`` columns, each with its steps below it; ends in a line break.

    What runs, but is silent or has lost its process, is shown as ``silent`` or ``gone``. Times are shown in ``zone``,
    by default this machine's. Text from outside is shortened where it does not fit, and characters in it that would
    steer the terminal appear as escapes. Of a run with more than forty attempts, only ``whole=True`` shows those
    between the first and the last twenty, and only that shows metadata, and errors uncut with their stacks. Only
    ``colour=True`` adds escape sequences.
    """
    if not runs:
        return "No runs.\n"
    columns = _Columns(width)
    heading = _row(columns, ("RUN", "FLOW"), "STATUS", "STARTED", "DURATION")
    lines = [paint(heading, BOLD, colour=colour)]
    for run in runs:
        lines.append(
            _row(
                columns,
                (run.run_id, run.flow_key),
                status_cell(run, colour=colour),
                local_time(run.started_at, zone),
                format_duration(run.duration_ms),
            )
        )
        left_out = 0 if whole else max(0, len(run.steps) - 2 * _ENDS)
        for number, step in enumerate(run.steps):
            if not _ENDS <= number < _ENDS + left_out:
                lines.append(_step_line(columns, step, colour=colour))
                lines.extend(step_details(step, colour=colour) if whole else _error_line(columns, step, colour=colour))
            elif number == _ENDS:
                lines.append(f"      … {left_out} more attempts; failpath-otel runs with the id of this run shows all")
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


def step_name(step: StepView) -> str:
    """Return the key of a step, and the number of the attempt where it is not the first."""
    return f"{printable(step.step_key)}{_attempt(step)}"


def status_word(shown: RunView | StepView) -> str:
    """Return the status as it is shown: ``silent`` and ``gone`` in place of ``running``."""
    # `live` is expected; `silent` and `gone` are worth showing.
    return shown.liveness if shown.liveness in ("silent", "gone") else shown.status


def status_cell(shown: RunView | StepView, *, colour: bool) -> str:
    """Return the status in its colour and as many columns as each of them has."""
    word = status_word(shown)
    return paint(word.ljust(STATUS_WIDTH), _COLOURS[word], colour=colour)


def local_time(timestamp: str, zone: tzinfo | None) -> str:
    """Return an RFC 3339 time in ``zone``, by default this machine's, to the second; as it is where it is none."""
    try:
        moment = datetime.fromtimestamp(parse_rfc3339(timestamp) // 1_000_000, timezone.utc)
        moment = moment.astimezone(zone)
    except (ValueError, OverflowError):  # of the last hours of the year 9999 in zones that are ahead
        return printable(timestamp[:_STARTED_WIDTH])
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _attempt(step: StepView) -> str:
    return f" #{step.attempt}" if step.attempt > 1 else ""


def _step_line(columns: _Columns, step: StepView, *, colour: bool) -> str:
    attempt = _attempt(step)
    width = columns.run + columns.flow
    name = fit(f"  {cut(printable(step.step_key), width - 2 - len(attempt))}{attempt}", width + len(_GAP))
    duration = fit(format_duration(step.duration_ms), _STARTED_WIDTH + len(_GAP) + DURATION_WIDTH, right=True)
    return f"{name}{_GAP}{status_cell(step, colour=colour)}{_GAP}{duration}"


def _error_line(columns: _Columns, step: StepView, *, colour: bool) -> Iterator[str]:
    if step.error is not None:
        text = printable(f"{step.error.name}: {step.error.message}")
        yield f"      {paint(cut(text, columns.text - 6), RED, colour=colour)}"


def _row(columns: _Columns, names: tuple[str, str], status: str, started: str, duration: str) -> str:
    return _GAP.join(
        (
            fit(printable(names[0]), columns.run),
            fit(printable(names[1]), columns.flow),
            status.ljust(STATUS_WIDTH),
            fit(started, _STARTED_WIDTH),
            fit(duration, DURATION_WIDTH, right=True),
        )
    )
