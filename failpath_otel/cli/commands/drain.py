"""``failpath-otel drain``: delivers what ended processes have left."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, fail
from failpath_otel.cli.commands.target import add_target_options, given_target
from failpath_otel.cli.printable import printable

if TYPE_CHECKING:
    from failpath_otel.cli.drain import Drained


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "drain",
        help="deliver the records that ended processes have left",
        description="Delivers the records that ended processes have left in their journals, and that no running"
        " process has taken over. Reads FAILPATH_PROJECT_KEY. Exits with 0 if nothing is left, otherwise with 1; with 2"
        " if --journal names a directory that does not exist.",
        examples={
            "from cron, or as ExecStopPost in systemd": "FAILPATH_PROJECT_KEY=fp_project_xxx failpath-otel drain",
            "deliver one journal, within a minute": "failpath-otel drain --journal /var/lib/shop/journal --timeout 60",
        },
    )
    add_target_options(parser)
    parser.add_argument(
        "--timeout",
        type=kinds.matching(r"[0-9]{1,5}(\.[0-9]{1,3})?", "a number of seconds", float),
        default=30.0,
        metavar="SECONDS",
        help="the maximum time; default %(default).0f",
    )
    parser.add_argument(
        "--rebind",
        type=kinds.matching("all|[0-9a-f]{16}", "a hash of 16 digits from 0 to f, as in the name of a journal", str),
        metavar="HASH",
        nargs="?",
        const="all",
        help="also deliver records for other project keys, endpoints and routes; with a hash, only those whose journals"
        " have it in their names",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the other commands do not deliver.
    from failpath_otel.cli.drain import chosen_binding, drain  # noqa: PLC0415
    from failpath_otel.cli.progress import progress_bar  # noqa: PLC0415
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.journal.discovery import count_records  # noqa: PLC0415
    from failpath_otel.options.options import Options  # noqa: PLC0415

    given = given_target(arguments)
    try:
        options = Options.resolve(enabled=True, rules=(), **given)  # no records are made here
    except ConfigurationError as error:
        return fail(str(error).replace("pass project_key=, or set", "set"))
    journal, rebind = options.journal, arguments.rebind or ""
    if journal is None:
        return fail("there is no journal: it is turned off, or has no directory; name one by --journal")
    # Only a named directory must exist: the first program that records a step creates the default one.
    if "journal" in given and not _exists(journal):
        return fail(f"the journal directory {journal} does not exist", 2)
    with progress_bar(lambda: count_records(journal, chosen_binding(options, rebind)), "records") as progress:
        drained = drain(journal, options, arguments.timeout, rebind, progress)
    found = drained.left or drained.delivered or drained.dropped or drained.damaged_files
    if arguments.json:
        sys.stdout.write(f"{json.dumps(_as_json(drained, journal))}\n")
    elif drained.failure and not found:
        return fail(drained.failure)
    else:
        _print(drained, journal)
    is_incomplete = drained.left or drained.damaged_files or drained.dropped.get("damaged")
    return 1 if is_incomplete or (drained.failure and not found) else 0


def _as_json(drained: "Drained", journal: str) -> dict[str, Any]:
    return {
        "journal": journal,
        "delivered": drained.delivered,
        "lost": drained.dropped,
        "damagedFiles": drained.damaged_files,
        "left": drained.left,
        "failure": drained.failure or None,
        "boundElsewhere": drained.bound_elsewhere,
    }


def _print(drained: "Drained", journal: str) -> None:
    results = [f"{_records(drained.delivered)} delivered"] if drained.delivered else []
    results += [f"{records} lost ({reason})" for reason, records in sorted(drained.dropped.items())]
    damaged = drained.damaged_files
    results += [f"{damaged} damaged file{'s' * (damaged > 1)}"] if damaged else []
    results += [f"{drained.left} left in {journal}"] if drained.left else []
    if drained.left and drained.failure:
        results.append(drained.failure)
    if not results and sys.stdout.isatty():  # not in the mail of a cron job
        results.append(f"nothing to deliver in {journal}")
    if results:
        sys.stdout.write(f"failpath-otel: {printable('; '.join(results))}\n")
    if drained.bound_elsewhere:
        listed = ", ".join(f"{binding} ({count})" for binding, count in sorted(drained.bound_elsewhere.items()))
        text = f"journals for another project key, endpoint or route: {listed}; --rebind HASH sends them here"
        sys.stderr.write(f"failpath-otel: there are {text}\n")


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
