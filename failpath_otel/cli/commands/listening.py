"""Options of the servers' ports: gRPC and TLS."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from failpath_otel.cli import kinds
from failpath_otel.cli.commands.command import cannot_serve

if TYPE_CHECKING:
    from failpath_otel.serving.tls import Tls

_HOLDERS = "an OpenTelemetry Collector, or another gateway"


def add_listening_options(parser: argparse.ArgumentParser, grpc_default: str) -> None:
    """Add the options to the parser of a command; ``grpc_default`` says what is served where none is asked for."""
    parser.add_argument(
        "--grpc-port",
        type=kinds.number_or_off(0, 65_535),
        metavar="PORT",
        help="accept OTLP/gRPC too, with the extra grpc; 0 picks a free port, off disables it; default:"
        f" {grpc_default}",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM; with --tls-key, all ports accept only TLS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM, without a password")
    parser.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="PEM; clients must present a certificate of one of these authorities",
    )


def tls_of(arguments: argparse.Namespace) -> "Tls | None":
    """Return what the files make. Raise ``ConfigurationError``, which names the file that cannot be used."""
    # Imported here, because the other commands serve nothing.
    from failpath_otel.serving.tls import check_tls  # noqa: PLC0415

    return check_tls(arguments.tls_cert, arguments.tls_key, arguments.client_ca)


def cannot_serve_grpc(arguments: argparse.Namespace, error: OSError) -> str:
    """Return why gRPC cannot be served and what to do."""
    return cannot_serve(arguments.host, arguments.grpc_port, error, _HOLDERS, "--grpc-port")
