"""``failpath-otel runs``: runs of a local receiver, as a table or as JSON, now or as they happen."""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, fail
from failpath_otel.cli.commands.receiver import add_receiver_options, receiver_url
from failpath_otel.cli.printable import printable

if TYPE_CHECKING:
    from failpath_otel.cli.local_client import RunQuery
    from failpath_otel.local.runs.view import RunView

_STATUSES: Final = ("running", "success", "error", "skipped", "silent", "gone")
_LIMIT: Final = 10
_NEWEST_STEPS: Final = 20
"""How many steps of a run `--follow` begins with, unless it is about that run alone."""


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "runs",
        help="show the newest runs of a local receiver",
        description="Shows runs of a local receiver, the newest activity first, each with its steps; for a single run"
        " also metadata, errors and stacks. Exits with 1 if there is no receiver, or no run with the given id.",
        examples={
            "one run, with metadata, errors and stacks": "failpath-otel runs order-17",
            "runs that failed, or lost their process, within the last hour": (
                "failpath-otel runs --status error --status gone --since 1h"
            ),
            "the runs of one customer, by the metadata of their steps": "failpath-otel runs --meta customer=c-814",
            "follow a flow live": "failpath-otel runs --flow checkout --follow",
            "for a script: exit with 1 if the run failed": "failpath-otel runs order-17 --exit-status > /dev/null",
            "the ids of the newest hundred": "failpath-otel runs --limit 100 --json | jq -r .runId",
        },
    )
    parser.add_argument("id", nargs="?", metavar="RUN_ID", help="only this run, with all its details")
    parser.add_argument(
        "--run", dest="run_id", metavar="RUN_ID", help="the same; also works for an id that begins with -"
    )
    parser.add_argument("--flow", metavar="FLOW_KEY", help="only runs of this flow")
    parser.add_argument(
        "--status",
        action="append",
        choices=_STATUSES,
        metavar="STATUS",
        help=f"only runs with this status: {', '.join(_STATUSES)}; running includes the last two; may be given several"
        " times",
    )
    parser.add_argument(
        "--meta",
        type=kinds.pair,
        action="append",
        metavar="NAME=VALUE",
        help="only runs with this value in the metadata of a step; may be given several times",
    )
    parser.add_argument(
        "--since",
        type=kinds.duration,
        metavar="DURATION",
        help="only runs that were active within this time, such as 90s, 15m, 1h30m, 2d or 1w",
    )
    parser.add_argument(
        "--limit",
        type=kinds.number(1, 1000),
        default=_LIMIT,
        metavar="N",
        help="the maximum number of runs; default %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print each run as a line of JSON")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="continue to show changes live until Ctrl-C: a line for each step that begins, ends or loses its"
        " process; with --json, each run again when it has changed",
    )
    parser.add_argument("--exit-status", action="store_true", help="exit with 1 if any run shown failed or is gone")
    add_receiver_options(parser)
    parser.set_defaults(action=_run, usage_error=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError, RunQuery  # noqa: PLC0415

    run_id = arguments.id if arguments.run_id is None else arguments.run_id
    if arguments.id not in (None, run_id):
        arguments.usage_error("RUN_ID and --run name two runs")
    if run_id is not None and (arguments.status or arguments.since or arguments.meta):
        arguments.usage_error("--status, --since and --meta choose among runs; RUN_ID names one")
    since = None if arguments.since is None else (datetime.now(timezone.utc) - arguments.since).isoformat()
    query = RunQuery(arguments.flow, run_id, arguments.status or (), since, arguments.meta or ())
    try:
        url = receiver_url(arguments.url, arguments.port)
        return _follow(arguments, url, query) if arguments.follow else _show(arguments, url, query)
    except ReceiverError as error:
        return fail(str(error), error.exit_code)


def _show(arguments: argparse.Namespace, url: str, query: "RunQuery") -> int:
    # Imported here, as in `_run`.
    from failpath_otel.cli import terminal  # noqa: PLC0415
    from failpath_otel.cli.local_client import fetch_run, fetch_runs  # noqa: PLC0415
    from failpath_otel.cli.table import format_runs  # noqa: PLC0415

    if query.run_id is None:
        runs = fetch_runs(url, query, limit=arguments.limit, token=arguments.token)
    else:
        runs = [fetch_run(url, query.run_id, flow_key=query.flow_key, token=arguments.token)]
    if arguments.json:
        sys.stdout.write(_json_lines(runs))
    else:
        colour, width, whole = terminal.takes_colours(), terminal.width(), query.run_id is not None
        text = format_runs(runs, colour=colour, whole=whole, width=width)
        is_filtered = query.flow_key is not None or query.statuses or query.since is not None or query.meta
        sys.stdout.write("No runs that match.\n" if is_filtered and not runs else text)
    sys.stdout.flush()
    return int(arguments.exit_status and any(_has_failed(run) for run in runs))


def _follow(arguments: argparse.Namespace, url: str, query: "RunQuery") -> int:
    # Imported here, as in `_run`.
    from failpath_otel.cli.following import follow  # noqa: PLC0415
    from failpath_otel.cli.step_log import StepLog  # noqa: PLC0415
    from failpath_otel.cli.terminal import takes_colours  # noqa: PLC0415

    log = StepLog(colour=takes_colours())
    failed: set[tuple[str, str]] = set()
    is_first, is_missing = True, query.run_id is not None
    try:
        for runs in follow(url, query, limit=arguments.limit, token=arguments.token, notice=_notice):
            keys = {(run.flow_key, run.run_id) for run in runs}
            failed = failed - keys | {(run.flow_key, run.run_id) for run in runs if _has_failed(run)}
            if arguments.json:
                sys.stdout.write(_json_lines(runs))
            else:
                newest = _NEWEST_STEPS if is_first and query.run_id is None else None
                sys.stdout.write("".join(f"{line}\n" for line in log.lines(runs, newest)))
            sys.stdout.flush()
            is_first = is_missing = False
    except KeyboardInterrupt:
        pass  # the end that was asked for
    if is_missing:
        return fail(f"no such run at {url}: {query.run_id!r}")
    return int(arguments.exit_status and bool(failed))


def _json_lines(runs: "Iterable[RunView]") -> str:
    # Imported here, as in `_run`.
    from msgspec import to_builtins  # noqa: PLC0415

    # In ASCII, which any terminal and any encoding takes, and which no terminal is steered by.
    return "".join(f"{json.dumps(to_builtins(run))}\n" for run in runs)


def _has_failed(run: "RunView") -> bool:
    return run.status == "error" or run.liveness == "gone"


def _notice(text: str) -> None:
    sys.stderr.write(f"failpath-otel: {printable(text)}\n")
    sys.stderr.flush()
