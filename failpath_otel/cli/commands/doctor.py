"""``failpath-otel doctor``: finds what keeps steps from arriving."""

import argparse
import json
import sys

from failpath_otel.cli.commands.command import NewParser
from failpath_otel.cli.commands.target import add_target_options, given_target
from failpath_otel.cli.terminal import takes_colours


def add_to(new_parser: NewParser) -> None:
    """Add the command."""
    parser = new_parser(
        "doctor",
        help="find what keeps steps from arriving",
        description="Checks key, options, proxy, certificates, endpoint, clock, journal and OpenTelemetry as a program"
        " in this environment finds them, and prints what to do if something is wrong. The endpoint gets one request,"
        " without events unless --send is given. The report contains no secrets: include it in a bug report."
        " Exits with 1 if there is a problem, otherwise with 0.",
        examples={
            "check what a program in this environment would find": "failpath-otel doctor",
            "send a test event too": "FAILPATH_PROJECT_KEY=fp_project_xxx failpath-otel doctor --send",
            "for a bug report": "failpath-otel doctor --json > doctor.json",
        },
    )
    parser.add_argument(
        "--send",
        action="store_true",
        help="send a test event in the reserved flow failpath-doctor, and announce it first",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    add_target_options(parser)
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands examine nothing.
    from failpath_otel.cli.doctor.examination import examine  # noqa: PLC0415
    from failpath_otel.cli.doctor.report import Report  # noqa: PLC0415

    report = Report.of(*examine(given_target(arguments), send=arguments.send))
    if arguments.json:
        sys.stdout.write(f"{json.dumps(report.as_json())}\n")
    else:
        sys.stdout.write(report.as_text(colour=takes_colours()))
    sys.stdout.flush()
    return 1 if report.count("problem") else 0
