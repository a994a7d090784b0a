"""The program whose instructions are counted by function: some steps of one case, with a mark at each function's ends.

It prints the text of each mark.
"""

import gc
import json
import os
import sys
from typing import Final

from bench import marks

STEPS: Final = 4
EMPTY: Final = 10
"""Marks in a row at the start and at the end, which show what a mark costs."""

_PACKAGES: Final = ("failpath_otel", "opentelemetry")
_WARM_UP: Final = 60
_NEVER: Final = 1_000.0


def main(name: str, endpoint: str) -> None:
    """Make the steps without garbage collections, which would come in any function."""
    marks.install(_PACKAGES)
    from bench.counted import CASES, deliver  # noqa: PLC0415 - imports the packages

    act, settle = CASES[name](endpoint)
    # The other threads run when this one waits for them.
    sys.setswitchinterval(_NEVER)
    in_a_row = marks.in_a_row(EMPTY)
    for _ in range(_WARM_UP):
        act()
        in_a_row()
    deliver(settle)
    gc.collect()
    gc.disable()
    notes: list[str] = []
    marks.start(notes)
    in_a_row()
    for _ in range(STEPS):
        act()
    in_a_row()
    print(json.dumps(notes))
    sys.stdout.flush()
    # What follows would make marks as well.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
