"""The command line of ``failpath-otel``: commands, options and the text of ``--help``."""

import argparse
import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from failpath_otel._version import __version__
from failpath_otel.addresses import DEFAULT_PORT, DEFAULT_URL, LOOPBACK
from failpath_otel.local.store.defaults import DEFAULT_DAYS, DEFAULT_MEBIBYTES
from failpath_otel.options.variables import ENDPOINT_VARIABLES, GATEWAY_VARIABLE, LOCAL_VARIABLE

_ENDPOINT: Final = " or ".join(ENDPOINT_VARIABLES)
_T = TypeVar("_T")


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; defaults come from the environment at this time."""
    parser = argparse.ArgumentParser(prog="failpath-otel", description="The OpenTelemetry bridge to Failpath.")
    parser.add_argument("--version", action="version", version=f"failpath-otel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    local = commands.add_parser(
        "local",
        help="serve a Failpath on this machine",
        description="Serves a Failpath on this machine, for it alone. Reads FAILPATH_RULES, whose rules make steps of"
        " spans that come by OTLP without a step key.",
    )
    local.add_argument(
        "--port", type=_number(0, 65_535), default=DEFAULT_PORT, help="default %(default)s; 0 picks a free one"
    )
    local.add_argument("--db", type=Path, metavar="PATH", help="the database; default: in the user's state directory")
    local.add_argument(
        "--host", type=_address, default=LOOPBACK, metavar="IP", help="default %(default)s; any other needs --token"
    )
    token = os.environ.get(LOCAL_VARIABLE) or None
    local.add_argument(
        "--token", type=_token, default=token, help=f"the token of every request; default: {LOCAL_VARIABLE}"
    )
    local.add_argument(
        "--flows", type=_file, metavar="PATH", help="the shapes of the flows; default: .failpath/flows.json"
    )
    local.add_argument(
        "--trace-url",
        type=_trace_url,
        metavar="URL",
        help="the link to a trace, such as http://localhost:16686/trace/{trace_id}",
    )
    local.add_argument(
        "--max-age",
        type=_number(1, 36_500),
        default=DEFAULT_DAYS,
        metavar="DAYS",
        help="how long runs are kept; default %(default)s",
    )
    local.add_argument(
        "--max-size",
        type=_number(1, 1_048_576),
        default=DEFAULT_MEBIBYTES,
        metavar="MIB",
        help="how much is kept; default %(default)s",
    )
    local.add_argument("--open", action="store_true", help="open the page in a browser")
    local.set_defaults(usage_error=local.error)

    gateway = commands.add_parser(
        "gateway",
        help="take OTLP from any OpenTelemetry SDK or Collector",
        description="Takes OTLP/HTTP (/v1/traces, protobuf or JSON), and delivers the steps among the spans to"
        " Failpath. Reads FAILPATH_PROJECT_KEY and the other variables of configure().",
    )
    gateway.add_argument(
        "--port", type=_number(0, 65_535), default=4318, help="default %(default)s; 0 picks a free one"
    )
    gateway.add_argument(
        "--host", type=_address, default=LOOPBACK, metavar="IP", help="default %(default)s; 0.0.0.0 for all"
    )
    gateway.add_argument(
        "--token",
        type=_token,
        default=os.environ.get(GATEWAY_VARIABLE) or None,
        help=f"the bearer token of every sender; default: {GATEWAY_VARIABLE}, else none",
    )

    runs = commands.add_parser(
        "runs", help="show the newest runs of a local receiver", description="Shows runs of a local receiver."
    )
    receiver = runs.add_mutually_exclusive_group()
    named = {os.environ.get(name, "").strip().rstrip("/") for name in ENDPOINT_VARIABLES} - {""}
    url = None if len(named) > 1 else next(iter(named), DEFAULT_URL)
    receiver.add_argument("--url", default=url, help=f"the receiver; default: {_ENDPOINT}, else {DEFAULT_URL}")
    receiver.add_argument("--port", type=_number(1, 65_535), help="the port of a receiver on this machine")
    runs.add_argument("--token", type=_token, default=token, help=f"the receiver's; default: {LOCAL_VARIABLE}")
    runs.add_argument("--limit", type=_number(1, 1000), default=10, help="how many runs; default %(default)s")
    runs.add_argument("--run", metavar="RUN_ID", help="this run only")
    runs.add_argument("--flow", metavar="FLOW_KEY", help="runs of this flow only")

    drain = commands.add_parser(
        "drain",
        help="deliver the records that ended processes have left",
        description="Delivers the records that ended processes have left in their journals, and that no living process"
        " has taken over. Reads FAILPATH_PROJECT_KEY. Exits with 0 if nothing is left, else with 1; with 2"
        " where --journal names a directory that does not exist.",
    )
    drain.add_argument("--journal", type=Path, metavar="DIR", help="default: FAILPATH_JOURNAL, else the user's")
    drain.add_argument("--endpoint", metavar="URL", help=f"default: {_ENDPOINT}, else Failpath's")
    drain.add_argument("--route", metavar="PATH", help="as in configure(); default: Failpath's")
    drain.add_argument(
        "--timeout",
        type=_matching(r"[0-9]{1,5}(\.[0-9]{1,3})?", "a number of seconds", float),
        default=30.0,
        help="seconds; default %(default).0f",
    )
    drain.add_argument(
        "--rebind",
        type=_matching("all|[0-9a-f]{16}", "a hash of 16 digits from 0 to f, as in the name of a journal", str),
        metavar="HASH",
        nargs="?",
        const="all",
        help="also deliver what was recorded for other project keys, endpoints and routes, or only what has this hash"
        " in the names of its journals",
    )
    return parser


def _matching(pattern: str, what: str, kind: Callable[[str], _T]) -> Callable[[str], _T]:
    def convert(text: str) -> _T:
        if re.fullmatch(pattern, text):
            return kind(text)
        msg = f"expected {what}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)

    return convert


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
        if not lowest <= number <= highest:
            msg = f"expected a number from {lowest} to {highest}, got {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return convert


def _address(text: str) -> str:
    try:
        return LOOPBACK if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError:
        msg = f"expected an IP address, as 0.0.0.0, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def _token(text: str) -> str:
    # One word of a header. The text itself is not repeated: it may be a secret.
    if re.fullmatch(r"[!-~]{8,1000}", text):
        return text
    msg = "expected at least 8 letters, digits and signs of ASCII, without spaces"
    raise argparse.ArgumentTypeError(msg)


def _file(text: str) -> Path:
    if Path(text).is_file():
        return Path(text)
    msg = f"there is no file {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _trace_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if usable and text.isprintable() and " " not in text and "{trace_id}" in text:
        return text
    msg = f"expected a URL of http or https with {{trace_id}} in it, got {text!r}"
    raise argparse.ArgumentTypeError(msg)
