"""A program whose journal cannot be written for a while. It says how many steps it has run, and ends as it is told.

Arguments: what goes wrong, ``disk``, ``descriptors`` or ``signals``; how many steps follow once the journal is back, or
how many there are beside those of signal handlers; how it ends, ``kill`` or ``exit``. Each step has so much metadata
that a file of the journal holds some 400 records.
"""

import itertools
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from failpath_otel import FailpathClient, configure

STEPS_OF_A_FILE = 200
DEADLINE = 8.0
"""Seconds until the journal is taken for lost, should nothing say that it is back."""

_PADDING = {"text": "x" * 2_000}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 64 KiB; what is mapped already still can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_descriptors() -> Iterator[None]:
    """No file can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class SegmentReader(logging.Handler):
    """Hears that the journal is written again."""

    def __init__(self) -> None:
        super().__init__()
        self.back = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "is written again" in record.getMessage():
            self.back.set()


class Program:
    """Runs steps, one run each."""

    def __init__(self, failpath: FailpathClient) -> None:
        self.failpath = failpath
        self.numbers = itertools.count()
        self.steps = 0
        self.handling = False

    def step(self) -> None:
        number = next(self.numbers)
        self.failpath.run("outage", run_id=f"run-{number}").step("work", lambda: None, metadata=_PADDING)
        self.steps += 1

    def handle(self) -> None:
        # On a busy machine the next signal may come before this step is through.
        if not self.handling:
            self.handling = True
            self.step()
            self.handling = False

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def trouble(self, kind: str, steps: int) -> None:
        self.run(10)
        if kind == "signals":
            signal.signal(signal.SIGALRM, lambda *_: self.handle())
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            self.run(steps)
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        log = SegmentReader()
        logging.getLogger("failpath_otel").addHandler(log)
        with full_disk() if kind == "disk" else no_descriptors():
            self.run(2 * STEPS_OF_A_FILE)
        if steps:
            log.back.wait(DEADLINE)
            self.run(steps)


def main(kind: str, steps: int, end: str) -> None:
    """Runs the program."""
    program = Program(configure())
    program.trouble(kind, steps)
    print(program.steps, dict(program.failpath.stats().dropped), flush=True)
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
