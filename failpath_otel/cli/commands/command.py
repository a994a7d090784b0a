"""What commands share: how they fail, and how they load what they need."""

import argparse
import errno
import gc
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from failpath_otel.cli.printable import printable

NewParser = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command, as ``add_parser`` of :mod:`argparse` does."""


@contextmanager
def without_collections() -> Generator[None, None, None]:
    """Load modules without garbage collections: what is loaded stays, and looking through it again takes a while."""
    were_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if were_on:
            gc.enable()


def cannot_serve(arguments: argparse.Namespace, error: OSError, holders: str) -> str:
    """Return why the server cannot start and what to do; ``holders`` names programs that often use its port."""
    text = f"cannot serve at {arguments.host}:{arguments.port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        text += (
            f", perhaps by {holders}; `lsof -i :{arguments.port}` shows by what. End that, or choose another port by"
            " --port (0 picks a free one), and configure the senders with it"
        )
    return text


def fail(reason: str, code: int = 1) -> int:
    """Print why the command fails, and return its exit code."""
    sys.stderr.write(f"failpath-otel: {printable(reason)}\n")
    return code
