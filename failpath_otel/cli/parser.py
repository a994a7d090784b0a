"""The command line of ``failpath-otel``: all commands, with the text of ``--help``."""

from failpath_otel.cli.command_parser import CommandParser
from failpath_otel.cli.commands import (
    check,
    completions,
    doctor,
    drain,
    files,
    flows,
    gateway,
    local,
    rules,
    runs,
    types,
)
from failpath_otel.cli.versions import VersionAction


def new_parser() -> CommandParser:
    """Return the parser of all commands; defaults come from the environment at this time."""
    parser = CommandParser(
        prog="failpath-otel",
        description="The OpenTelemetry bridge to Failpath.",
        examples={
            "see the runs of your programs on this machine": "failpath-otel local --open",
            "runs that failed within the last hour": "failpath-otel runs --status error --status gone --since 1h",
            "all options of a command, with examples": "failpath-otel runs --help",
        },
    )
    parser.add_argument("--version", action=VersionAction)
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for command in (local, gateway, runs, files, check, types, flows, rules, drain, doctor, completions):
        command.add_to(commands.add_parser)
    return parser
