"""A progress bar on a terminal."""

import os
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from failpath_otel.cli.printable import printable

Progress = Callable[[int, str], object]
"""Shows how much is done, and a remark."""

_BAR_WIDTH: Final = 24
_CLEAR: Final = "\r\x1b[K"


@contextmanager
def progress_bar(count: Callable[[], int], unit: str) -> Generator[Progress, None, None]:
    """Yield what shows progress: on stderr, so that stdout has results alone, and only where that is a terminal.

    Args:
        count: returns how much there is to do; called on a terminal only.
        unit: of what, in the plural.
    """
    stream = sys.stderr
    total = count() if stream.isatty() and os.environ.get("TERM") != "dumb" else 0
    if not total:
        yield lambda _done, _remark: None
        return

    def show(done: int, remark: str) -> None:
        full = min(_BAR_WIDTH * done // total, _BAR_WIDTH)
        text = f"[{'=' * full:<{_BAR_WIDTH}}] {done} of {total} {unit}{f'; {printable(remark)}' if remark else ''}"
        # The cursor goes back, so that a line of the log writes over the bar and not behind it.
        stream.write(f"{_CLEAR}{text[: shutil.get_terminal_size().columns - 1]}\r")
        stream.flush()

    try:
        show(0, "")
        yield show
    finally:
        stream.write(_CLEAR)
        stream.flush()
