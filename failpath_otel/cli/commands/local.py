"""``failpath-otel local``: a Failpath on this machine."""

import argparse
import os
from pathlib import Path
from typing import Final

from failpath_otel.addresses import DEFAULT_PORT, LOOPBACK, is_loopback
from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import NewParser, cannot_serve, fail, without_collections
from failpath_otel.cli.commands.listening import add_listening_options, cannot_serve_grpc, tls_of
from failpath_otel.cli.commands.receiving import add_receiving_options, discarded_signals, set_log_format
from failpath_otel.local.store.defaults import DEFAULT_DAYS, DEFAULT_MEBIBYTES
from failpath_otel.options.variables import LOCAL_VARIABLE

_RULES_VARIABLE: Final = "FAILPATH_RULES"
_EXTRA: Final = ("anyio", "prometheus_client", "sse_starlette", "starlette", "uvicorn")


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "local",
        help="serve a Failpath on this machine",
        description="Serves a Failpath on this machine, which only this machine can reach by default. Reads"
        " FAILPATH_RULES (files and preset:NAME); these rules make steps from OTLP spans that have no step key.",
        examples={
            "see the runs of your programs in a browser": "failpath-otel local --open",
            "send a program's steps there": (
                "FAILPATH_PROJECT_KEY=any FAILPATH_DEV_ENDPOINT=http://127.0.0.1:3001 python shop.py"
            ),
            "make steps from the spans of Django and Celery": "FAILPATH_RULES=preset:django,celery failpath-otel local",
            "look at a store without changing it": "failpath-otel local --read-only --db /mnt/backup/local.db",
            "let other machines in, with a token": "failpath-otel local --host 0.0.0.0 --token a-long-secret",
        },
    )
    parser.add_argument(
        "--port", type=kinds.number(0, 65_535), default=DEFAULT_PORT, help="default %(default)s; 0 picks a free one"
    )
    parser.add_argument("--db", type=Path, metavar="PATH", help="the database; default: in the user's state directory")
    parser.add_argument(
        "--host",
        type=kinds.address,
        default=LOOPBACK,
        metavar="IP",
        help="default %(default)s; any other needs --token",
    )
    parser.add_argument(
        "--token",
        type=kinds.token,
        default=os.environ.get(LOCAL_VARIABLE) or None,
        help=f"the token that every request must present; default: {LOCAL_VARIABLE}",
    )
    parser.add_argument(
        "--flows", type=kinds.file, metavar="PATH", help="the shapes of the flows; default: .failpath/flows.json"
    )
    parser.add_argument(
        "--trace-url",
        type=kinds.trace_url,
        metavar="URL",
        help="the link to a trace, such as http://localhost:16686/trace/{trace_id}",
    )
    parser.add_argument(
        "--max-age",
        type=kinds.number(1, 36_500),
        default=DEFAULT_DAYS,
        metavar="DAYS",
        help="the number of days that runs are kept; default %(default)s",
    )
    parser.add_argument(
        "--max-size",
        type=kinds.number(1, 1_048_576),
        default=DEFAULT_MEBIBYTES,
        metavar="MIB",
        help="the maximum size of the database in MiB; default %(default)s",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="show the database, and do not accept or change anything; another receiver may have it open",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_listening_options(parser, "off")
    add_receiving_options(parser, "metrics")
    parser.set_defaults(action=_run, usage_error=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    set_log_format(arguments)
    try:
        with without_collections():
            # Imported here, because the other commands do not need the extra.
            from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
            from failpath_otel.flows.flows_file import FlowsFileError  # noqa: PLC0415
            from failpath_otel.local.api.guard import Access  # noqa: PLC0415
            from failpath_otel.local.receiver import ReceiverSettings  # noqa: PLC0415
            from failpath_otel.local.server import default_database, serve  # noqa: PLC0415
            from failpath_otel.local.store.database import StoreError  # noqa: PLC0415
            from failpath_otel.records.rules_file import check_rules  # noqa: PLC0415
            from failpath_otel.serving.grpc.beside import GrpcPortError, GrpcSettings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        return fail('the local receiver is an extra; install it with: pip install "failpath-otel[local]"')
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
            read_only=arguments.read_only,
        )
        database = default_database() if arguments.db is None else arguments.db
        access = Access(arguments.host, arguments.token, frozenset(arguments.allow_origin))
        serve(
            arguments.port,
            access,
            database,
            settings,
            open_browser=arguments.open,
            discarded=discarded_signals(arguments),
            grpc=GrpcSettings(arguments.grpc_port),
            tls=tls_of(arguments),
        )
    except (StoreError, FlowsFileError, ConfigurationError) as error:
        return fail(str(error))
    except GrpcPortError as error:
        return fail(cannot_serve_grpc(arguments, error))
    except OSError as error:
        return fail(cannot_serve(arguments.host, arguments.port, error, "another receiver, or a development server"))
    return 0
