"""Formats what happens in runs, a line for each change of a step."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timezone, tzinfo
from typing import Final

from failpath_otel.cli.printable import printable
from failpath_otel.cli.table import (
    DURATION_WIDTH,
    format_duration,
    local_time,
    status_cell,
    status_word,
    step_name,
)
from failpath_otel.cli.terminal import RED, cut, paint
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.runs.view import RunView, StepView

_MAX_RUNS: Final = 10_000
"""Runs whose steps are known; of one that changes after that many others, all steps are shown again."""

_MAX_ERROR: Final = 200
_GAP: Final = "  "


class StepLog:
    """Remembers what it has shown of runs. Times are shown in ``zone``, by default this machine's."""

    def __init__(self, *, colour: bool = False, zone: tzinfo | None = None) -> None:
        self._colour: Final = colour
        self._zone: Final = zone
        self._shown: OrderedDict[tuple[str, str], dict[tuple[str, str], str]] = OrderedDict()

    def lines(self, runs: Sequence[RunView], newest: int | None = None) -> list[str]:
        """Return a line for each attempt of a step that is not as it was shown last, in the order of time.

        ``newest`` limits the attempts of a run of which nothing has been shown; the others count as shown.
        """
        found: list[tuple[str, str]] = []
        for run in runs:
            key = (run.flow_key, run.run_id)
            shown = self._shown.pop(key, None)
            passed_over = 0 if shown is not None or newest is None else max(0, len(run.steps) - newest)
            known = {} if shown is None else shown
            for number, step in enumerate(run.steps):
                word, attempt = status_word(step), (step.step_key, step.span_id)
                if known.get(attempt) != word and number >= passed_over:
                    found.append((when := _time(step), self._line(run, step, when)))
                known[attempt] = word
            self._shown[key] = known
        while len(self._shown) > _MAX_RUNS:
            self._shown.popitem(last=False)
        return [line for _, line in sorted(found, key=lambda each: each[0])]

    def _line(self, run: RunView, step: StepView, when: str) -> str:
        parts = [
            local_time(when, self._zone),
            status_cell(step, colour=self._colour),
            format_duration(step.duration_ms).rjust(DURATION_WIDTH),
            printable(run.flow_key),
            printable(run.run_id),
            step_name(step),
        ]
        if step.error is not None:
            text = printable(f"{step.error.name}: {step.error.message}"[:_MAX_ERROR])
            parts.append(paint(cut(text, _MAX_ERROR), RED, colour=self._colour))
        return _GAP.join(parts)


def _time(step: StepView) -> str:
    """Return when it became what it is; that it is silent or gone was seen just now."""
    if step.ended_at is not None:
        return step.ended_at
    if step.started_at is not None and status_word(step) == step.status:
        return step.started_at
    return to_rfc3339(int(datetime.now(timezone.utc).timestamp() * 1_000_000))
