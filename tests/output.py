"""What a process prints after lines that were read already."""

import subprocess
import threading
from contextlib import suppress
from typing import IO, Protocol


class Printing(Protocol):
    """A process, whichever way it was started."""

    stdout: IO[str] | None
    stderr: IO[str] | None

    def wait(self, timeout: float | None = None) -> int: ...


def rest_of(process: Printing, seconds: float | None) -> tuple[str, str]:
    """What is left of both outputs, once the process has ended.

    ``Popen.communicate`` reads past the buffer of the stream, and so misses lines that came together with those that
    were read from it.
    """
    said = ["", ""]

    def read(number: int, stream: IO[str]) -> None:
        with suppress(ValueError):  # closed, because the test has given up
            said[number] = stream.read()

    streams = [(number, each) for number, each in enumerate((process.stdout, process.stderr)) if each is not None]
    readers = [threading.Thread(target=read, args=each, daemon=True) for each in streams]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(seconds)
        if reader.is_alive():
            raise subprocess.TimeoutExpired("the process", seconds or 0)
    process.wait(seconds)
    return said[0], said[1]
