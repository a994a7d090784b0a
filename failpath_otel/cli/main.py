"""The command ``failpath-otel``."""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Final

from failpath_otel.addresses import LOOPBACK, is_loopback
from failpath_otel.cli.parser import new_parser
from failpath_otel.cli.printable import printable
from failpath_otel.options.variables import ENDPOINT_VARIABLES, LOCAL_VARIABLE

_RULES_VARIABLE: Final = "FAILPATH_RULES"
_LOCAL_EXTRA: Final = ("anyio", "sse_starlette", "starlette", "uvicorn")
_GATEWAY_EXTRA: Final = ("anyio", "google", "opentelemetry", "starlette", "uvicorn")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv``, by default the process's own, and return its exit code.

    Raises:
        SystemExit: with code 2, for a mistake in the arguments, as ``argparse`` does.
    """
    arguments = new_parser().parse_args(argv)
    # A terminal that cannot show a character shows its escape instead of a traceback.
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
            return _drain(given, arguments.timeout, arguments.rebind or "")
        return _runs(arguments)
    except KeyboardInterrupt:
        return 0 if arguments.command in ("local", "gateway") else 130
    except BrokenPipeError:
        # The reader (`| head`) has ended; the interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def _without_collections() -> Generator[None, None, None]:
    """Load modules without garbage collections: what is loaded stays, and looking through it again takes a while."""
    were_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if were_on:
            gc.enable()


def _local(arguments: argparse.Namespace) -> int:
    try:
        with _without_collections():
            # Imported here, because the other commands do not need the extra.
            from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
            from failpath_otel.local.api.guard import Access  # noqa: PLC0415
            from failpath_otel.local.flows.flows_file import FlowsFileError  # noqa: PLC0415
            from failpath_otel.local.receiver import ReceiverSettings  # noqa: PLC0415
            from failpath_otel.local.server import default_database, serve  # noqa: PLC0415
            from failpath_otel.local.store.database import StoreError  # noqa: PLC0415
            from failpath_otel.records.rules_file import check_rules  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LOCAL_EXTRA:
            raise
        return _fail('the local receiver is an extra; install it with: pip install "failpath-otel[local]"')
    if arguments.token is None and not is_loopback(arguments.host):
        arguments.usage_error(
            f"--host {arguments.host} lets other machines read and change every run: it needs --token,"
            f" or {LOCAL_VARIABLE}"
        )
    try:
        rules_path = os.environ.get(_RULES_VARIABLE, "").strip()
        settings = ReceiverSettings(
            flows=arguments.flows,
            trace_url=arguments.trace_url,
            days=arguments.max_age,
            mebibytes=arguments.max_size,
            rules=check_rules(_RULES_VARIABLE, rules_path) if rules_path else None,
        )
        database = default_database() if arguments.db is None else arguments.db
        access = Access(arguments.host, arguments.token)
        serve(arguments.port, access, database, settings, open_browser=arguments.open)
    except (StoreError, FlowsFileError, ConfigurationError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_cannot_serve(arguments, error, "another receiver, or a development server"))
    return 0


def _gateway(arguments: argparse.Namespace) -> int:
    try:
        with _without_collections():
            # Imported here, because the other commands do not deliver.
            from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
            from failpath_otel.gateway.server import serve  # noqa: PLC0415
            from failpath_otel.options.options import Options as DeliveryOptions  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _GATEWAY_EXTRA:
            raise
        return _fail('the gateway is an extra; install it with: pip install "failpath-otel[gateway]"')
    try:
        serve(arguments.port, arguments.host, arguments.token, DeliveryOptions.resolve_delivery())
    except ConfigurationError as error:
        return _fail(str(error).replace("pass project_key=, or set", "set"))
    except OSError as error:
        return _fail(_cannot_serve(arguments, error, "another gateway, or an OpenTelemetry Collector"))
    return 0


def _cannot_serve(arguments: argparse.Namespace, error: OSError, holders: str) -> str:
    """Return why the server cannot start and what to do; ``holders`` names programs that often use its port."""
    text = f"cannot serve at {arguments.host}:{arguments.port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        text += (
            f", perhaps by {holders}; `lsof -i :{arguments.port}` shows by what. End that, or choose another port by"
            " --port (0 picks a free one), and configure the senders with it"
        )
    return text


def _runs(arguments: argparse.Namespace) -> int:
    # Imported here, because the servers ask no receiver.
    from failpath_otel.cli.local_client import ReceiverError, fetch_run, fetch_runs  # noqa: PLC0415
    from failpath_otel.cli.table import format_runs  # noqa: PLC0415

    url, token, flow_key = arguments.url, arguments.token, arguments.flow
    if arguments.port is not None:
        url = f"http://{LOOPBACK}:{arguments.port}"
    elif url is None:
        return _fail(f"{' and '.join(ENDPOINT_VARIABLES)} differ; unset one of them, or name one by --url", 2)
    try:
        if arguments.run is None:
            runs = fetch_runs(url, limit=arguments.limit, flow_key=flow_key, token=token)
        else:
            runs = [fetch_run(url, arguments.run, flow_key=flow_key, token=token)]
    except ReceiverError as error:
        return _fail(str(error))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(format_runs(runs, colour=colour, whole=arguments.run is not None))
    sys.stdout.flush()
    return 0


def _drain(given: dict[str, object], timeout: float, rebind: str) -> int:
    # Imported here, because the other commands do not deliver.
    from failpath_otel.cli.drain import drain  # noqa: PLC0415
    from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
    from failpath_otel.options.options import Options  # noqa: PLC0415

    try:
        given = {name: value for name, value in given.items() if value is not None}
        options = Options.resolve(enabled=True, rules=(), **given)  # no records are made here
    except ConfigurationError as error:
        return _fail(str(error).replace("pass project_key=, or set", "set"))
    if options.journal is None:
        return _fail("there is no journal: it is turned off, or has no directory; name one by --journal")
    # Only a named directory must exist: the first program that records a step creates the default one.
    if "journal" in given and not _exists(options.journal):
        return _fail(f"the journal directory {options.journal} does not exist", 2)
    drained = drain(options.journal, options, timeout, rebind)
    if drained.failure and not (drained.left or drained.delivered or drained.dropped or drained.damaged_files):
        return _fail(drained.failure)
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


def _fail(reason: str, code: int = 1) -> int:
    sys.stderr.write(f"failpath-otel: {printable(reason)}\n")
    return code
