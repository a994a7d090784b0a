"""``failpath-otel drain``: delivers what ended processes have left."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, fail
from failpath_otel.cli.printable import printable
from failpath_otel.options.variables import ENDPOINT_VARIABLES

_ENDPOINT: Final = " or ".join(ENDPOINT_VARIABLES)


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "drain",
        help="deliver the records that ended processes have left",
        description="Delivers the records that ended processes have left in their journals, and that no living process"
        " has taken over. Reads FAILPATH_PROJECT_KEY. Exits with 0 if nothing is left, else with 1; with 2"
        " where --journal names a directory that does not exist.",
        examples={
            "from cron, or as ExecStopPost of systemd": "FAILPATH_PROJECT_KEY=fp_project_xxx failpath-otel drain",
            "what one journal has, within a minute": "failpath-otel drain --journal /var/lib/shop/journal --timeout 60",
        },
    )
    parser.add_argument("--journal", type=Path, metavar="DIR", help="default: FAILPATH_JOURNAL, else the user's")
    parser.add_argument("--endpoint", metavar="URL", help=f"default: {_ENDPOINT}, else Failpath's")
    parser.add_argument("--route", metavar="PATH", help="as in configure(); default: Failpath's")
    parser.add_argument(
        "--timeout",
        type=kinds.matching(r"[0-9]{1,5}(\.[0-9]{1,3})?", "a number of seconds", float),
        default=30.0,
        help="seconds; default %(default).0f",
    )
    parser.add_argument(
        "--rebind",
        type=kinds.matching("all|[0-9a-f]{16}", "a hash of 16 digits from 0 to f, as in the name of a journal", str),
        metavar="HASH",
        nargs="?",
        const="all",
        help="also deliver what was recorded for other project keys, endpoints and routes, or only what has this hash"
        " in the names of its journals",
    )
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands do not deliver.
    from failpath_otel.cli.drain import drain  # noqa: PLC0415
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.options.options import Options  # noqa: PLC0415

    given: dict[str, object] = {
        name: value for name in ("journal", "endpoint", "route") if (value := getattr(arguments, name)) is not None
    }
    try:
        options = Options.resolve(enabled=True, rules=(), **given)  # no records are made here
    except ConfigurationError as error:
        return fail(str(error).replace("pass project_key=, or set", "set"))
    if options.journal is None:
        return fail("there is no journal: it is turned off, or has no directory; name one by --journal")
    # Only a named directory must exist: the first program that records a step creates the default one.
    if "journal" in given and not _exists(options.journal):
        return fail(f"the journal directory {options.journal} does not exist", 2)
    drained = drain(options.journal, options, arguments.timeout, arguments.rebind or "")
    if drained.failure and not (drained.left or drained.delivered or drained.dropped or drained.damaged_files):
        return fail(drained.failure)
    results = [f"{_records(drained.delivered)} delivered"] if drained.delivered else []
    results += [f"{records} lost ({reason})" for reason, records in sorted(drained.dropped.items())]
    damaged = drained.damaged_files
    results += [f"{damaged} damaged file{'s' * (damaged > 1)}"] if damaged else []
    results += [f"{drained.left} left in {options.journal}"] if drained.left else []
    if drained.left and drained.failure:
        results.append(drained.failure)
    if not results and sys.stdout.isatty():  # not in the mail of a cron job
        results.append(f"nothing to deliver in {options.journal}")
    if results:
        sys.stdout.write(f"failpath-otel: {printable('; '.join(results))}\n")
    if drained.bound_elsewhere:
        listed = ", ".join(f"{binding} ({count})" for binding, count in sorted(drained.bound_elsewhere.items()))
        text = f"journals for another project key, endpoint or route: {listed}; --rebind HASH sends them here"
        sys.stderr.write(f"failpath-otel: there are {text}\n")
    return 1 if drained.left or drained.damaged_files or drained.dropped.get("damaged") else 0


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # this user may not see it
        return True
    return True
