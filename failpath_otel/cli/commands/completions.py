"""``failpath-otel completions``: a script with which a shell completes the command."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, fail

_SHELLS: Final = ("bash", "zsh", "fish")


def add_to(new_parser: NewParser) -> None:
    """Add the command."""
    parser = new_parser(
        "completions",
        help="print a completion script for bash, zsh or fish",
        description="Prints a script that lets a shell complete this command, its options and files.",
        examples={
            "bash, in ~/.bashrc": 'eval "$(failpath-otel completions bash)"',
            "zsh, in a folder that is in $fpath": "failpath-otel completions zsh > ~/.zfunc/_failpath-otel",
            "fish": "failpath-otel completions fish > ~/.config/fish/completions/failpath-otel.fish",
        },
    )
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return fail('completions are an extra; install it with: pip install "failpath-otel[completions]"')
    # Imported here, because it imports this module.
    from failpath_otel.cli.parser import new_parser  # noqa: PLC0415

    parser = new_parser()
    for command in parser.walk():
        # The list of commands shows the first sentence.
        command.description = (command.description or "").partition(". ")[0].rstrip(".")
        for action in command.arguments:
            complete = _files(action, shtab)
            if complete is not None:
                action.complete = complete  # type: ignore[attr-defined]
    sys.stdout.write(f"{shtab.complete(parser, arguments.shell)}\n")
    return 0


def _files(action: argparse.Action, shtab: Any) -> object:  # noqa: ANN401 - a module that may not be installed
    """Return what shtab completes the argument by: the names of files or folders, or nothing."""
    if action.metavar == "DIR":
        return shtab.DIRECTORY
    if action.metavar == "FILE" or action.type in (Path, kinds.file):
        return shtab.FILE
    return None
