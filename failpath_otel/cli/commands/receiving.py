"""Options that the servers share: origins of web pages, other signals, the form of the log."""

import argparse
from collections.abc import Collection
from typing import Final

from failpath_otel.cli import kinds
from failpath_otel.serving.log_format import use_json
from failpath_otel.serving.other_signals import SIGNALS, Signal

_JSON: Final = "json"


def add_receiving_options(parser: argparse.ArgumentParser, others: str) -> None:
    """Add the options to the parser of a command; *others* names the signals that it has no use for."""
    parser.add_argument(
        "--allow-origin",
        type=kinds.origin,
        action="append",
        default=[],
        metavar="URL",
        help="accept OTLP from web pages of this origin, such as https://shop.example; may be given several times",
    )
    parser.add_argument(
        "--accept-other-signals",
        action="store_true",
        help=f"accept {others} too, and discard them, instead of refusing them",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", _JSON),
        default="text",
        help="the format of the log, and of the line on stdout that reports that the server is ready; default"
        " %(default)s",
    )


def set_log_format(arguments: argparse.Namespace) -> None:
    """Have the log be in the format that was asked for."""
    if arguments.log_format == _JSON:
        use_json()


def discarded_signals(arguments: argparse.Namespace) -> Collection[Signal]:
    """Return the signals that are taken and discarded."""
    return SIGNALS if arguments.accept_other_signals else ()
