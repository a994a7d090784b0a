"""The command ``failpath-otel``."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from failpath_otel.cli.parser import new_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv``, by default the process's own, and return its exit code.

    Raises:
        SystemExit: with code 2, for a mistake in the arguments, as ``argparse`` does.
    """
    arguments = new_parser().parse_args(argv)
    # A terminal that cannot show a character shows its escape instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = arguments.action(arguments)
    except KeyboardInterrupt:
        return 0 if arguments.command in ("local", "gateway") else 130
    except BrokenPipeError:
        # The reader (`| head`) has ended; the interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
