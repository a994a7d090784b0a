"""``failpath-otel runs``: runs of a local receiver, as a table."""

import argparse
import os
import sys
from typing import Final

from failpath_otel.addresses import DEFAULT_URL, LOOPBACK
from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, fail
from failpath_otel.options.variables import ENDPOINT_VARIABLES, LOCAL_VARIABLE

_ENDPOINT: Final = " or ".join(ENDPOINT_VARIABLES)


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "runs", help="show the newest runs of a local receiver", description="Shows runs of a local receiver."
    )
    receiver = parser.add_mutually_exclusive_group()
    named = {os.environ.get(name, "").strip().rstrip("/") for name in ENDPOINT_VARIABLES} - {""}
    url = None if len(named) > 1 else next(iter(named), DEFAULT_URL)
    receiver.add_argument("--url", default=url, help=f"the receiver; default: {_ENDPOINT}, else {DEFAULT_URL}")
    receiver.add_argument("--port", type=kinds.number(1, 65_535), help="the port of a receiver on this machine")
    parser.add_argument(
        "--token",
        type=kinds.token,
        default=os.environ.get(LOCAL_VARIABLE) or None,
        help=f"the receiver's; default: {LOCAL_VARIABLE}",
    )
    parser.add_argument("--limit", type=kinds.number(1, 1000), default=10, help="how many runs; default %(default)s")
    parser.add_argument("--run", dest="run_id", metavar="RUN_ID", help="this run only")
    parser.add_argument("--flow", metavar="FLOW_KEY", help="runs of this flow only")
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError, fetch_run, fetch_runs  # noqa: PLC0415
    from failpath_otel.cli.table import format_runs  # noqa: PLC0415

    url, token, flow_key = arguments.url, arguments.token, arguments.flow
    if arguments.port is not None:
        url = f"http://{LOOPBACK}:{arguments.port}"
    elif url is None:
        return fail(f"{' and '.join(ENDPOINT_VARIABLES)} differ; unset one of them, or name one by --url", 2)
    try:
        if arguments.run_id is None:
            runs = fetch_runs(url, limit=arguments.limit, flow_key=flow_key, token=token)
        else:
            runs = [fetch_run(url, arguments.run_id, flow_key=flow_key, token=token)]
    except ReceiverError as error:
        return fail(str(error))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(format_runs(runs, colour=colour, whole=arguments.run_id is not None))
    sys.stdout.flush()
    return 0
