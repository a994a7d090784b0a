"""``failpath-otel check``: the keys in the code against the flows that are declared."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from failpath_otel.addresses import DEFAULT_URL
from failpath_otel.checking.finding import CODES
from failpath_otel.cli.commands.command import NewParser
from failpath_otel.cli.commands.receiver import add_token_option
from failpath_otel.flows.default_path import DEFAULT_PATH

if TYPE_CHECKING:
    from failpath_otel.checking.checker import Checked

_UNUSABLE: Final = 2


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "check",
        help="check the keys in code against .failpath/flows.json",
        description="Checks the flow and step keys in source files, and in files of rules, against the declared"
        " flows; does not run any code. Exits with 0 if there is no error, with 1 if there is one, and with 2 if"
        " something cannot be checked.",
        epilog="A line that ends in `# failpath: ignore` is not reported.",
        examples={
            "all code in a folder": "failpath-otel check shop/",
            "in a GitHub workflow, as annotations": "failpath-otel check shop/ --format github",
            "also compare what a local receiver has seen": f"failpath-otel check shop/ --url {DEFAULT_URL}",
        },
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="a file, or a folder with everything below it"
    )
    parser.add_argument(
        "--flows", type=Path, default=DEFAULT_PATH, metavar="PATH", help="the declared flows; default: %(default)s"
    )
    parser.add_argument("--url", help="a local receiver; the keys that it has seen are compared too")
    add_token_option(parser)
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        choices=CODES,
        metavar="CODE",
        help="do not report findings with this code; may be given several times",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="default %(default)s")
    parser.set_defaults(action=_run, usage_error=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands check nothing.
    from failpath_otel.cli.findings import format_findings, summary  # noqa: PLC0415

    if not arguments.paths and arguments.url is None:
        arguments.usage_error("name the files and folders to check, or a receiver by --url")
    checked = _check(arguments)
    findings = [finding for finding in checked.findings if finding.code not in arguments.ignore]
    sys.stdout.write(format_findings(checked, findings, arguments.format))
    sys.stdout.flush()
    if arguments.format != "json":
        sys.stderr.write(f"failpath-otel: {summary(checked, findings)}\n")
    if checked.errors:
        return _UNUSABLE
    return int(any(arguments.strict or finding.severity == "error" for finding in findings))


def _check(arguments: argparse.Namespace) -> "Checked":
    # Imported here, as in `_run`.
    from failpath_otel.checking.checker import Checked, Checker  # noqa: PLC0415
    from failpath_otel.checking.files.place import Place  # noqa: PLC0415
    from failpath_otel.checking.files.source import SourceError  # noqa: PLC0415
    from failpath_otel.flows.flows_file import FlowsFileError, read_flows  # noqa: PLC0415
    from failpath_otel.flows.known_keys import KnownKeys  # noqa: PLC0415

    try:
        flows = read_flows(arguments.flows)
    except FlowsFileError as error:
        reason = str(error).removeprefix(f"{arguments.flows}: ")
        return Checked(errors=[SourceError(Place(str(arguments.flows)), reason)])
    checked = Checked()
    paths = [path for path in arguments.paths if path.exists()]
    if paths:
        checked = Checker(KnownKeys.of(flows), arguments.flows).check(paths)
    missing = [path for path in arguments.paths if path not in paths]
    checked.errors += [SourceError(Place(str(path)), "there is no such file or folder") for path in missing]
    if arguments.url is not None:
        # Imported here, because most checks ask no receiver.
        from failpath_otel.checking.drift import drift  # noqa: PLC0415
        from failpath_otel.cli.local_client import ReceiverError, fetch_flows  # noqa: PLC0415

        try:
            seen = fetch_flows(arguments.url, token=arguments.token)
        except ReceiverError as error:
            checked.errors.append(SourceError(Place(arguments.url), str(error)))
        else:
            checked.seen = len(seen)
            checked.findings += drift(flows, seen, arguments.url)
    return checked
