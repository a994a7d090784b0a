"""Options that the servers share: origins of web pages, other signals, the form of the log."""

import argparse
from collections.abc import Collection
from typing import Final

from failpath_otel.cli import kinds
from failpath_otel.serving.other_signals import SIGNALS, Signal

LOG_FORMATS: Final = ("text", "json")


def add_receiving_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command."""
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
        help="take metrics and logs too, and discard them, instead of refusing them",
    )
    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default="text",
        help="json writes a JSON object a line; default %(default)s",
    )


def discarded_signals(arguments: argparse.Namespace) -> Collection[Signal]:
    """Return the signals that are taken and discarded."""
    return SIGNALS if arguments.accept_other_signals else ()
