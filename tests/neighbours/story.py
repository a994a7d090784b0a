"""One program's run from its start to its end, and what both backends were told meanwhile."""

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.delivery.programs import environment
from tests.fault_server import Request, fault_server, json_answer
from tests.neighbours.seen import Seen
from tests.neighbours.setups import Setup

ROOT: Final = Path(__file__).parents[2]
_TIMEOUT: Final = 60.0
# Logfire sends nothing from what looks like a test.
_SETTINGS: Final = ("DD_", "LANGFUSE_", "LOGFIRE_", "PYTEST_", "SENTRY_")


@dataclass(frozen=True)
class Story:
    """What a program said, how it ended, and the requests that Failpath and its neighbour's backend got."""

    code: int
    lines: list[str]
    errors: str
    seconds: float
    to_failpath: list[Request]
    to_neighbour: list[Request]
    seen: list[Seen]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for request in self.to_failpath for event in request.events]


def tell(setup: Setup, order: str, upstream: str) -> Story:
    """Runs the program of ``setup``, whose application calls the server at ``upstream``, in a process of its own."""
    # Fit for all: Logfire asks whose its token is, ddtrace what its agent can do.
    answer = json_answer({"project_name": "shop", "project_url": "http://127.0.0.1/shop"})
    with fault_server() as failpath, fault_server(answer) as backend:
        begun = time.monotonic()
        ended = subprocess.run(
            [*setup.command, "-m", f"tests.neighbours.programs.{setup.program}", order, upstream],
            cwd=ROOT,
            env=_environment(setup.environment, failpath.url, backend.url),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        seconds = time.monotonic() - begun
        return Story(
            ended.returncode,
            ended.stdout.splitlines(),
            ended.stderr,
            seconds,
            list(failpath.requests),
            list(backend.requests),
            setup.read(backend.requests),
        )


def _environment(settings: Mapping[str, str], failpath: str, backend: str) -> dict[str, str]:
    kept = {name: value for name, value in environment(failpath).items() if not name.startswith(_SETTINGS)}
    return {**kept, "BACKEND": backend, "DD_TRACE_AGENT_URL": backend, **settings}
