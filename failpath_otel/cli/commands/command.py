"""What commands share: how they fail, and how they load what they need."""

import argparse
import errno
import gc
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from failpath_otel.cli.printable import printable
from failpath_otel.serving.log_format import complain

NewParser = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command, as ``add_parser`` of :mod:`argparse` does."""


def end_on_sigterm_as_process_1() -> None:
    """Have SIGTERM end process 1 of a container while it starts: the kernel ignores it there if nothing handles it."""
    if os.getpid() == 1:
        # Nothing has been accepted yet, so there is nothing to finish. The server handles the signal once it is made.
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


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


def cannot_serve(host: str, port: int, error: OSError, holders: str, option: str = "--port") -> str:
    """Return why the server cannot start and what to do; ``holders`` names programs that often use its port."""
    text = f"cannot serve at {host}:{port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        text += (
            f", perhaps by {holders}; `lsof -i :{port}` shows by what. End that, or choose another port by"
            f" {option} (0 picks a free one), and configure the senders with it"
        )
    return text


def fail(reason: str, code: int = 1) -> int:
    """Print why the command fails, and return its exit code."""
    complain(printable(reason))
    return code


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'s' * (number != 1)}"
