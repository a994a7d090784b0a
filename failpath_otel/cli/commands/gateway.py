"""``failpath-otel gateway``: takes OTLP, and delivers the steps."""

import argparse
import os
from typing import Final

from failpath_otel.addresses import LOOPBACK
from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import (
    NewParser,
    cannot_serve,
    end_on_sigterm_as_process_1,
    fail,
    without_collections,
)
from failpath_otel.cli.commands.listening import add_listening_options, cannot_serve_grpc, tls_of
from failpath_otel.cli.commands.receiving import add_receiving_options, discarded_signals, set_log_format
from failpath_otel.cli.commands.target import add_key_option, given_target
from failpath_otel.options.variables import GATEWAY_VARIABLE

_HOLDERS: Final = "another gateway, or an OpenTelemetry Collector"
_EXTRA: Final = ("anyio", "google", "opentelemetry", "prometheus_client", "starlette", "uvicorn")


def add_to(new_parser: NewParser) -> None:
    """Add the command; defaults come from the environment at this time."""
    parser = new_parser(
        "gateway",
        help="receive OTLP from any OpenTelemetry SDK or Collector",
        description="Receives OTLP/HTTP (/v1/traces, protobuf or JSON) and OTLP/gRPC, and delivers the steps among the"
        " spans to Failpath. Reads FAILPATH_PROJECT_KEY and the other variables of configure().",
        examples={
            "receive OTLP at port 4318 of this machine": "FAILPATH_PROJECT_KEY=fp_project_xxx failpath-otel gateway",
            "from other machines, over TLS, from senders with a token": (
                "failpath-otel gateway --host 0.0.0.0 --tls-cert server.pem --tls-key key.pem --token a-long-secret"
            ),
            "from senders that export metrics and logs as well": "failpath-otel gateway --accept-other-signals",
        },
    )
    parser.add_argument(
        "--port", type=kinds.number(0, 65_535), default=4318, help="default %(default)s; 0 picks a free one"
    )
    parser.add_argument(
        "--host", type=kinds.address, default=LOOPBACK, metavar="IP", help="default %(default)s; 0.0.0.0 for all"
    )
    add_key_option(parser)
    parser.add_argument(
        "--token",
        type=kinds.token,
        default=os.environ.get(GATEWAY_VARIABLE) or None,
        help=f"the bearer token that every sender must present; default: {GATEWAY_VARIABLE}, otherwise none",
    )
    parser.add_argument(
        "--token-file",
        type=lambda text: kinds.token(kinds.secret(text)),
        dest="token",
        metavar="FILE",
        help="a file that contains only that token",
    )
    add_listening_options(parser, "4317, if the extra is installed and the port is free")
    add_receiving_options(parser, "metrics and logs")
    parser.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    end_on_sigterm_as_process_1()
    set_log_format(arguments)
    try:
        with without_collections():
            # Imported here, because the other commands do not deliver.
            from failpath_otel.errors import ConfigurationError  # noqa: PLC0415
            from failpath_otel.gateway.server import ServerSettings, serve  # noqa: PLC0415
            from failpath_otel.options.options import Options as DeliveryOptions  # noqa: PLC0415
            from failpath_otel.serving.grpc.beside import DEFAULT_PORT as GRPC_PORT  # noqa: PLC0415
            from failpath_otel.serving.grpc.beside import GrpcPortError, GrpcSettings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        return fail('the gateway is an extra; install it with: pip install "failpath-otel[gateway]"')
    try:
        settings = ServerSettings(
            arguments.token,
            origins=frozenset(arguments.allow_origin),
            discarded=discarded_signals(arguments),
            grpc=GrpcSettings(arguments.grpc_port, GRPC_PORT),
            tls=tls_of(arguments),
        )
        serve(arguments.port, arguments.host, settings, DeliveryOptions.resolve_delivery(**given_target(arguments)))
    except ConfigurationError as error:
        return fail(str(error).replace("pass project_key=, or set", "set"))
    except GrpcPortError as error:
        return fail(cannot_serve_grpc(arguments, error))
    except OSError as error:
        return fail(cannot_serve(arguments.host, arguments.port, error, _HOLDERS))
    return 0
