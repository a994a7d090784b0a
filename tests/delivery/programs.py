"""Programs that tests run in a process of their own, because what they show is one process's global state or end."""

import os
import sys
import textwrap
import time
from dataclasses import dataclass
from typing import Final

from tests.forge import LIBRARIES, Started, start
from tests.output import rest_of

KEY: Final = "fp_project_of_a_program"
_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class Ended:
    """What a program said and how it ended; ``seconds`` is from its last line of output to its end."""

    code: int
    lines: list[str]
    errors: str
    seconds: float


def environment(endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a program that reports to ``endpoint``, without what would change OpenTelemetry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FAILPATH_"))}
    journal = {"FAILPATH_JOURNAL": os.environ["FAILPATH_JOURNAL"]}  # the one of the test
    return {**kept, **journal, "FAILPATH_PROJECT_KEY": KEY, "FAILPATH_DEV_ENDPOINT": endpoint, **more}


def start_program(code: str, endpoint: str, **more: str) -> Started:
    """Starts a program that reports to ``endpoint``. ``NO_FORGE="1"`` where the test is about the start or imports."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return start(command, env=environment(endpoint, **more), imported=LIBRARIES)


def run_program(code: str, endpoint: str, **more: str) -> Ended:
    """Runs a program that reports to ``endpoint`` to its end. It has to print at least one line, with ``flush``."""
    with start_program(code, endpoint, **more) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = []
            spoke = time.monotonic()
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                spoke = time.monotonic()
                if lines[-1] == "end":
                    break
            rest, errors = rest_of(process, _TIMEOUT)
            seconds = time.monotonic() - spoke
        finally:
            process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, lines + rest.splitlines(), errors, seconds)


def succeed(code: str, endpoint: str, **more: str) -> Ended:
    """The same for a program that must end well and complain of nothing."""
    ended = run_program(code, endpoint, **more)
    assert ended.code == 0, ended
    assert ended.errors == "", ended
    return ended
