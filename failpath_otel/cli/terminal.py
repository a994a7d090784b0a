"""What a terminal shows: its width, whether it takes colours, and text in columns."""

import os
import shutil
import sys
import unicodedata
from typing import Final

DEFAULT_WIDTH: Final = 100
"""Columns of what is not written to a terminal."""

_NARROWEST: Final = 72
_WIDEST: Final = 180

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
PURPLE: Final = "35"
BOLD: Final = "1"
FAINT: Final = "2"


def takes_colours() -> bool:
    """Return whether stdout gets colours: on a terminal, unless ``NO_COLOR`` is set; with ``FORCE_COLOR`` anywhere."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def width() -> int:
    """Return how many columns a table on stdout may have: those of the terminal, within reason."""
    if not sys.stdout.isatty():
        return DEFAULT_WIDTH
    return min(max(shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns, _NARROWEST), _WIDEST)


def paint(text: str, code: str, *, colour: bool) -> str:
    """Return ``text`` in a colour, if there are any."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` in exactly ``width`` columns."""
    text = cut(text, width)
    padding = " " * (width - sum(map(_columns, text)))
    return padding + text if right else text + padding


def cut(text: str, width: int) -> str:
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
