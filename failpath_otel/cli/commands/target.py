"""Options of the commands that deliver: where to, and from which journal."""

import argparse
from pathlib import Path
from typing import Final

from failpath_otel.cli import kinds
from failpath_otel.options.variables import ENDPOINT_VARIABLES

_NAMES: Final = ("project_key", "journal", "endpoint", "route")


def add_key_option(parser: argparse.ArgumentParser) -> None:
    """Add the option for the project key, which is no argument itself: others would see it in the list of processes."""
    parser.add_argument(
        "--project-key-file",
        type=kinds.secret,
        dest="project_key",
        metavar="FILE",
        help="a file that contains only the project key; default: FAILPATH_PROJECT_KEY",
    )


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command."""
    add_key_option(parser)
    parser.add_argument(
        "--journal", type=Path, metavar="DIR", help="the journal; default: FAILPATH_JOURNAL, otherwise that of the user"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help=f"default: {' or '.join(ENDPOINT_VARIABLES)}, otherwise that of Failpath"
    )
    parser.add_argument("--route", metavar="PATH", help="as in configure(); default: that of Failpath")


def given_target(arguments: argparse.Namespace) -> dict[str, object]:
    """Return those that were given, as options of ``configure()``."""
    return {name: value for name in _NAMES if (value := getattr(arguments, name, None)) is not None}
