"""Options of the commands that ask a local receiver."""

import argparse
import os
from typing import Final

from failpath_otel.addresses import DEFAULT_URL, LOOPBACK
from failpath_otel.cli import kinds
from failpath_otel.options.variables import ENDPOINT_VARIABLES, LOCAL_VARIABLE

DEFAULT: Final = f"default: {' or '.join(ENDPOINT_VARIABLES)}, otherwise {DEFAULT_URL}"
"""Which receiver is asked if none is named."""


def default_url() -> str | None:
    """Return the receiver to which programs in this environment send; ``None`` where the variables differ."""
    named = {os.environ.get(name, "").strip().rstrip("/") for name in ENDPOINT_VARIABLES} - {""}
    return None if len(named) > 1 else next(iter(named), DEFAULT_URL)


def add_receiver_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--url``, ``--port`` and ``--token``; defaults come from the environment at this time."""
    receiver = parser.add_mutually_exclusive_group()
    receiver.add_argument("--url", default=default_url(), help=f"the receiver; {DEFAULT}")
    receiver.add_argument("--port", type=kinds.number(1, 65_535), help="the port of a receiver on this machine")
    add_token_option(parser)


def add_token_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--token``; its default comes from the environment at this time."""
    parser.add_argument(
        "--token",
        type=kinds.token,
        default=os.environ.get(LOCAL_VARIABLE) or None,
        help=f"the token of the receiver; default: {LOCAL_VARIABLE}",
    )


def receiver_url(url: str | None, port: int | None = None) -> str:
    """Return the receiver that the options name. Raise ``NoUrlError`` where they do not, and the variables differ."""
    if port is not None:
        return f"http://{LOOPBACK}:{port}"
    if url is None:
        # Imported here, because the servers ask no receiver.
        from failpath_otel.cli.local_client import NoUrlError  # noqa: PLC0415

        raise NoUrlError(f"{' and '.join(ENDPOINT_VARIABLES)} differ; unset one of them, or name one by --url")
    return url
