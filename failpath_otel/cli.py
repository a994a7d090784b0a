"""The command ``failpath-otel``."""

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from failpath_otel._version import __version__
from failpath_otel.local.client import DEFAULT_PORT, DEFAULT_URL, ReceiverError, fetch_run, fetch_runs
from failpath_otel.local.store import StoreError
from failpath_otel.local.table import format_runs, printable

_ENDPOINT_VARIABLE: Final = "FAILPATH_DEV_ENDPOINT"
_LOCAL_VARIABLE: Final = "FAILPATH_LOCAL_TOKEN"
_GATEWAY_VARIABLE: Final = "FAILPATH_GATEWAY_TOKEN"
_LOCAL_EXTRA: Final = ("anyio", "sse_starlette", "starlette", "uvicorn")
_GATEWAY_EXTRA: Final = ("anyio", "google", "opentelemetry", "starlette", "uvicorn")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with ``argv``, by default the process's own, and returns its exit code.

    A mistake in the arguments ends it with ``SystemExit(2)``, as ``argparse`` does.
    """
    arguments = _parser().parse_args(argv)
    # A terminal that cannot show a character shows its escape, and not a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments.command == "local":
            return _local(arguments)
        if arguments.command == "gateway":
            return _gateway(arguments)
        if arguments.command == "drain":
            given = {name: getattr(arguments, name) for name in ("journal", "endpoint", "route")}
            return _drain(given, arguments.timeout, arguments.rebind)
        return _runs(arguments)
    except KeyboardInterrupt:
        return 0 if arguments.command in ("local", "gateway") else 130
    except BrokenPipeError:
        # Whoever was reading (`| head`) has seen enough; the interpreter's own flush at exit must not say so again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _local(arguments: argparse.Namespace) -> int:
    try:
        # Here, because nothing else of the command needs the extra.
        from failpath_otel.local.flows_file import FlowsFileError  # noqa: PLC0415
        from failpath_otel.local.guard import is_loopback  # noqa: PLC0415
        from failpath_otel.local.parts import Settings  # noqa: PLC0415
        from failpath_otel.local.server import Options, default_database, serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LOCAL_EXTRA:
            raise
        return _fail('the local receiver is an extra; install it with: pip install "failpath-otel[local]"')
    if arguments.token is None and not is_loopback(arguments.host):
        arguments.usage_error(
            f"--host {arguments.host} lets other machines read and change every run: it needs --token,"
            f" or {_LOCAL_VARIABLE}"
        )
    try:
        serve(
            Options(
                port=arguments.port,
                database=default_database() if arguments.db is None else arguments.db,
                host=arguments.host,
                token=arguments.token,
                settings=Settings(arguments.flows, arguments.trace_url, arguments.max_age, arguments.max_size),
                open_browser=arguments.open,
            )
        )
    except (StoreError, FlowsFileError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot serve at {arguments.host}:{arguments.port}: {error.strerror or error}")
    return 0


def _gateway(arguments: argparse.Namespace) -> int:
    # Here, because the other commands need nothing of what delivers.
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.export.options import Options as DeliveryOptions  # noqa: PLC0415

    try:
        from failpath_otel.gateway.server import Place, serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _GATEWAY_EXTRA:
            raise
        return _fail('the gateway is an extra; install it with: pip install "failpath-otel[gateway]"')
    try:
        serve(Place(arguments.port, arguments.host, arguments.token), DeliveryOptions.resolve_delivery())
    except ConfigurationError as error:
        return _fail(str(error).replace("pass project_key=, or set", "set"))
    except OSError as error:
        return _fail(f"cannot serve at {arguments.host}:{arguments.port}: {error.strerror or error}")
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    url, token, flow_key = arguments.url, arguments.token, arguments.flow
    if arguments.port is not None:
        url = f"http://127.0.0.1:{arguments.port}"
    try:
        if arguments.run is None:
            runs = fetch_runs(url, limit=arguments.limit, flow_key=flow_key, token=token)
        else:
            runs = [fetch_run(url, arguments.run, flow_key=flow_key, token=token)]
    except ReceiverError as error:
        return _fail(str(error))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(format_runs(runs, colour=colour))
    sys.stdout.flush()
    return 0


def _drain(given: dict[str, object], timeout: float, rebind: str) -> int:
    # Here, because the other commands need nothing of what delivers.
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.export.drain import drain  # noqa: PLC0415
    from failpath_otel.export.options import Options  # noqa: PLC0415

    try:
        given = {name: value for name, value in given.items() if value is not None}
        options = Options.resolve(enabled=True, rules=(), **given)  # records are not made here, so no rule is needed
    except ConfigurationError as error:
        return _fail(str(error).replace("pass project_key=, or set", "set"))
    if options.journal is None:
        return _fail("there is no journal: it is turned off, or there is no place for it; name one by --journal")
    drained = drain(options.journal, options, timeout, rebind)
    if drained.failure and not (drained.left or drained.delivered or drained.dropped):
        return _fail(drained.failure)
    said = [f"{_records(drained.delivered)} delivered"] if drained.delivered else []
    said += [f"{records} lost ({reason})" for reason, records in sorted(drained.dropped.items())]
    said += [f"{drained.left} left in {options.journal}"] if drained.left else []
    if drained.left and drained.failure:
        said.append(drained.failure)
    if not said and sys.stdout.isatty():  # and not in the mail of a cron job
        said.append(f"nothing to deliver in {options.journal}")
    if said:
        sys.stdout.write(f"failpath-otel: {printable('; '.join(said))}\n")
    if drained.bound_elsewhere:
        listed = ", ".join(f"{binding} ({count})" for binding, count in sorted(drained.bound_elsewhere.items()))
        text = f"journals for another project key, endpoint or route: {listed}; --rebind HASH sends them here"
        sys.stderr.write(f"failpath-otel: there are {text}\n")
    return 1 if drained.left else 0


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number} records"


def _fail(reason: str) -> int:
    sys.stderr.write(f"failpath-otel: {printable(reason)}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failpath-otel", description="The OpenTelemetry bridge to Failpath.")
    parser.add_argument("--version", action="version", version=f"failpath-otel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    local = commands.add_parser(
        "local", help="serve a Failpath on this machine", description="Serves a Failpath on this machine, for it alone."
    )
    local.add_argument("--port", type=_port, default=DEFAULT_PORT, help="default %(default)s; 0 picks a free one")
    local.add_argument("--db", type=Path, metavar="PATH", help="the database; default: in the user's state directory")
    local.add_argument(
        "--host", type=_address, default="127.0.0.1", metavar="IP", help="default %(default)s; any other needs --token"
    )
    token = os.environ.get(_LOCAL_VARIABLE) or None
    local.add_argument(
        "--token", type=_token, default=token, help=f"what every request has to show; default: {_LOCAL_VARIABLE}"
    )
    local.add_argument(
        "--flows", type=_file, metavar="PATH", help="what the flows look like; default: .failpath/flows.json"
    )
    local.add_argument(
        "--trace-url",
        type=_trace_url,
        metavar="URL",
        help="where a trace can be seen, as http://localhost:16686/trace/{trace_id}",
    )
    local.add_argument(
        "--max-age", type=_days, default=7, metavar="DAYS", help="how long runs are kept; default %(default)s"
    )
    local.add_argument(
        "--max-size", type=_mebibytes, default=512, metavar="MIB", help="how much is kept; default %(default)s"
    )
    local.add_argument("--open", action="store_true", help="open the page in a browser")
    local.set_defaults(usage_error=local.error)

    gateway = commands.add_parser(
        "gateway",
        help="take OTLP from any OpenTelemetry SDK or Collector",
        description="Takes OTLP/HTTP (/v1/traces, protobuf or JSON), and delivers the steps among the spans to"
        " Failpath. Reads FAILPATH_PROJECT_KEY and the other variables of configure().",
    )
    gateway.add_argument("--port", type=_port, default=4318, help="default %(default)s; 0 picks a free one")
    gateway.add_argument(
        "--host", type=_address, default="127.0.0.1", metavar="IP", help="default %(default)s; 0.0.0.0 for all"
    )
    gateway.add_argument(
        "--token",
        type=_token,
        default=os.environ.get(_GATEWAY_VARIABLE) or None,
        help=f"what every sender has to show as a bearer; default: {_GATEWAY_VARIABLE}, else nothing",
    )

    runs = commands.add_parser(
        "runs", help="show the newest runs of a local receiver", description="Shows runs of a local receiver."
    )
    url = os.environ.get(_ENDPOINT_VARIABLE) or DEFAULT_URL
    receiver = runs.add_mutually_exclusive_group()
    receiver.add_argument("--url", default=url, help=f"the receiver; default: {_ENDPOINT_VARIABLE}, else {DEFAULT_URL}")
    receiver.add_argument("--port", type=_taken_port, help="the receiver on this machine that has this port")
    runs.add_argument("--token", type=_token, default=token, help=f"the receiver's; default: {_LOCAL_VARIABLE}")
    runs.add_argument("--limit", type=_limit, default=10, help="how many runs; default %(default)s")
    runs.add_argument("--run", metavar="RUN_ID", help="this run only")
    runs.add_argument("--flow", metavar="FLOW_KEY", help="runs of this flow only")

    drain = commands.add_parser(
        "drain",
        help="deliver what processes have left that are gone",
        description="Delivers the records that processes have left in their journals, and that no living process has"
        " taken over. Reads FAILPATH_PROJECT_KEY. Exits with 0 if nothing is left, else with 1.",
    )
    drain.add_argument("--journal", type=Path, metavar="DIR", help="default: FAILPATH_JOURNAL, else the user's")
    drain.add_argument("--endpoint", metavar="URL", help=f"default: {_ENDPOINT_VARIABLE}, else Failpath's")
    drain.add_argument("--route", metavar="PATH", help="as in configure(); default: Failpath's")
    drain.add_argument("--timeout", type=_seconds, default=30.0, help="seconds; default %(default).0f")
    drain.add_argument(
        "--rebind",
        metavar="HASH",
        nargs="?",
        const="all",
        default="",
        help="also deliver what was recorded for other project keys, endpoints and routes, or only what has this hash"
        " in the names of its journals",
    )
    return parser


def _seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        return float(text)
    msg = f"expected a number of seconds, got {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _port(text: str) -> int:
    return _number(text, 0, 65_535)


def _taken_port(text: str) -> int:
    return _number(text, 1, 65_535)


def _days(text: str) -> int:
    return _number(text, 1, 36_500)


def _mebibytes(text: str) -> int:
    return _number(text, 1, 1_048_576)


def _address(text: str) -> str:
    try:
        return "127.0.0.1" if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError:
        msg = f"expected an IP address, as 0.0.0.0, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def _token(text: str) -> str:
    # What a header can hold as one word. The text itself is not repeated: it may be a secret.
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


def _limit(text: str) -> int:
    return _number(text, 1, 1000)


def _number(text: str, lowest: int, highest: int) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
    if not lowest <= number <= highest:
        msg = f"expected a number from {lowest} to {highest}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return number


if __name__ == "__main__":
    sys.exit(main())
