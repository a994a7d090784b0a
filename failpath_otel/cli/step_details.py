"""Formats what is known of one step: its error with the stack, its metadata, its process."""

import json
from collections.abc import Iterator
from typing import Final

from failpath_otel.cli.printable import printable
from failpath_otel.cli.terminal import FAINT, RED, paint
from failpath_otel.local.runs.view import StepView

_INDENT: Final = " " * 6
_DEEPER: Final = " " * 8


def step_details(step: StepView, *, colour: bool) -> Iterator[str]:
    """Yield lines below that of a step, uncut: a line for each of the error, its stack and the metadata."""
    if step.error is not None:
        for line in f"{step.error.name}: {step.error.message}".splitlines():
            yield f"{_INDENT}{paint(printable(line), RED, colour=colour)}"
        for line in (step.error.stack or "").splitlines():
            yield f"{_DEEPER}{paint(printable(line), FAINT, colour=colour)}".rstrip()
    for key, value in step.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"{_INDENT}{printable(key)}: {printable(text)}"
    if step.process is not None and step.status == "running":
        yield f"{_INDENT}{paint(f'process {step.process.pid} on {printable(step.process.host)}', FAINT, colour=colour)}"
