"""``failpath-otel flows``: a graph to start from, of what a local receiver has seen."""

import argparse
import sys
from pathlib import Path

from failpath_otel.cli.commands.command import NewParser, counted, fail
from failpath_otel.cli.commands.receiver import add_receiver_options, receiver_url
from failpath_otel.cli.printable import printable
from failpath_otel.cli.writing.whole_file import write_whole
from failpath_otel.flows.default_path import DEFAULT_PATH


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "flows",
        help="write what a local receiver has seen as .failpath/flows.json",
        description="Writes the flows that a local receiver has seen, with their steps and their order, as a graph to"
        " start from, in the format of .failpath/flows.json.",
        examples={
            "a file to start from": f"failpath-otel flows --out {DEFAULT_PATH}",
            "one flow, to look at": "failpath-otel flows --flow checkout",
        },
    )
    add_receiver_options(parser)
    parser.add_argument(
        "--flow", metavar="FLOW_KEY", action="append", help="only this flow; may be given several times"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="the file; default: standard output")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError, fetch_flows  # noqa: PLC0415
    from failpath_otel.flows.draft import draft_of  # noqa: PLC0415

    path: Path | None = arguments.out
    if path is not None and path.exists() and not arguments.force:
        return fail(f"{path} exists; --force writes over it")
    try:
        url = receiver_url(arguments.url, arguments.port)
        seen = fetch_flows(url, token=arguments.token)
    except ReceiverError as error:
        return fail(str(error), error.exit_code)
    missing = sorted(set(arguments.flow or ()) - {flow.flow_key for flow in seen})
    if missing or not seen:
        return fail(f"{url} has seen no run{' of ' if missing else ''}{', '.join(map(repr, missing))}")
    chosen = [flow for flow in seen if arguments.flow is None or flow.flow_key in arguments.flow]
    text = draft_of(chosen)
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        return fail(f"{path} cannot be written: {error.strerror or error}")
    count = f"{counted(len(chosen), 'flow')}, {counted(sum(len(flow.steps) for flow in chosen), 'step')}"
    sys.stdout.write(f"{printable(str(path))}: {count}\n")
    return 0
