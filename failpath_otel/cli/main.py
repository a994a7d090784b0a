"""The command ``failpath-otel``."""

import errno
from collections.abc import Sequence
from typing import Final

from failpath_otel.cli.writing import streams

_SERVERS: Final = ("local", "gateway")
_INTERRUPTED: Final = 130
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv``, by default the process's own, and return its exit code.

    Raises:
        SystemExit: with code 2, for a mistake in the arguments, as ``argparse`` does.
    """
    streams.open_streams()
    code, command = 0, None
    try:
        try:
            # Imported here, where Ctrl-C shows no traceback: this is most of the time in which nothing is printed yet.
            from failpath_otel.cli.parser import new_parser  # noqa: PLC0415

            arguments = new_parser().parse_args(argv)
            command = arguments.command
            code = arguments.action(arguments)
        finally:  # also of a help text, behind which the parser raises
            streams.flush()
    except KeyboardInterrupt:
        code = 0 if command in _SERVERS else _INTERRUPTED
    except BrokenPipeError:  # the reader (`| head`) has ended
        streams.give_up_failed()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        streams.give_up_failed()
        from failpath_otel.serving.log_format import complain  # noqa: PLC0415 - as above

        complain(f"the output cannot be written: {error.strerror}")
        return 1
    return code
