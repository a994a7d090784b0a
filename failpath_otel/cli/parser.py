"""The command line of ``failpath-otel``: all commands, with the text of ``--help``."""

import argparse

from failpath_otel._version import __version__
from failpath_otel.cli.commands import check, drain, flows, gateway, local, rules, runs, types


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; defaults come from the environment at this time."""
    parser = argparse.ArgumentParser(prog="failpath-otel", description="The OpenTelemetry bridge to Failpath.")
    parser.add_argument("--version", action="version", version=f"failpath-otel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (local, gateway, runs, check, types, flows, rules, drain):
        command.add_to(commands.add_parser)
    return parser
