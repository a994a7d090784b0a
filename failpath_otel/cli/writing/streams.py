"""The standard streams of the command, which may be closed, end early, or take no more."""

import os
import sys
from io import TextIOWrapper


def open_streams() -> None:
    """Open those that are closed, and have what a terminal cannot show appear as its escape."""
    # A closed one is `None`, and its descriptor would be given to the next file.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what waits, so that a failure is not left to the interpreter's own flush at exit. Raise ``OSError``."""
    sys.stdout.flush()
    sys.stderr.flush()


def give_up_failed() -> None:
    """Drop what a stream that has failed still holds: the interpreter's own flush at exit must not fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
