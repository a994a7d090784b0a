"""The application of all programs: a checkout with a step of every form, and a neighbour that traces it.

Run as ``python -m tests.neighbours.programs.with_<neighbour> ORDER UPSTREAM``.
"""

import os
import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, Protocol

import requests

import failpath_otel
from tests.neighbours.programs.alone import Alone
from tests.steps.forms import FORMS

LOOPBACK: Final = {"127.0.0.1", "::1", "localhost", ""}
PATIENCE: Final = 20.0


class Neighbour(Protocol):
    """Another library that traces or reports errors, as an application uses it."""

    def set_up(self) -> None:
        """What stands in the application's first lines."""
        ...

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span, or the transaction where there is none yet."""
        ...

    def report(self, error: Exception) -> None:
        """Reports an error, where the neighbour takes any."""
        ...

    def flush(self) -> None:
        """Sends what waits."""
        ...


class DeclinedError(Exception):
    """What the steps that fail raise."""


def main(neighbour: Neighbour) -> None:
    """Runs the application: the neighbour ``alone``, or set up ``before`` or ``after`` ``configure()``."""
    watch_for_others()
    order, upstream = sys.argv[1:]
    if order == "before":
        neighbour.set_up()
    failpath: Any = Alone() if order == "alone" else failpath_otel.configure()
    if order != "before":
        neighbour.set_up()
    with neighbour.span("checkout"):
        check_out(failpath, neighbour, upstream)
    if not failpath.flush(PATIENCE):
        print("not delivered:", failpath.stats())
    neighbour.flush()
    print("end", flush=True)


def check_out(failpath: Any, neighbour: Neighbour, upstream: str) -> None:
    run = failpath.run("checkout", run_id="order-1")

    def work(key: str) -> None:
        with neighbour.span(f"work {key}"):
            requests.get(f"{upstream}/stock", timeout=PATIENCE).close()
            # Our thread is at work while the neighbour's span is open, and before its error is reported.
            failpath.flush(PATIENCE)
            if "fails" in key:
                neighbour.report(DeclinedError(key))

    for name, form in FORMS.items():
        form(failpath, run, f"{name} returns", partial(work, f"{name} returns"))

        def fail(name: str = name) -> None:
            work(f"{name} fails")
            raise DeclinedError(name)

        try:
            form(failpath, run, f"{name} fails", fail)
        except DeclinedError:
            pass
        else:
            print("no error came out of", name)
    run.skip("receipt")


def watch_for_others() -> None:
    """Says so of every connection and look-up that is not of this machine."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        host: object = None
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        elif event == "socket.getaddrinfo":
            host = arguments[0]
        if host is not None and host not in LOOPBACK:
            os.write(1, f"left this machine: {event} {host!r}\n".encode())

    sys.addaudithook(watch)
