"""Gateways as processes that are killed at any time and restarted at the same port with the same journal."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from bench.fleet_failpath import is_over
from bench.sink import BenchError
from bench.span import PROJECT_KEY

# Without gRPC, whose default port only one of them could have.
_COMMAND: Final = (sys.executable, "-m", "failpath_otel.cli", "gateway", "--grpc-port", "off", "--port")
_UP: Final = (0.5, 3.0)
_DOWN: Final = (0.1, 1.5)
"""Seconds for which one is left alone, and for which it is down, at least and at most."""

_KILLED: Final = 0.8
"""Of those that end; the others are asked to, as at the roll-out of a new version."""


class Gateways:
    """Gateways at given ports; the last one has no journal, the others share one."""

    def __init__(self, seed: int, ports: list[int], endpoint: str, directory: Path) -> None:
        self._chance: Final = [Random(f"{seed} {port}") for port in range(len(ports))]
        self._ports: Final = ports
        self._errors: Final = directory / "errors"
        self._variables: Final = {
            **os.environ,
            "FAILPATH_PROJECT_KEY": PROJECT_KEY,
            "FAILPATH_DEV_ENDPOINT": endpoint,
            "FAILPATH_JOURNAL": str(directory / "journal"),
        }
        self._processes: list[subprocess.Popen[str]] = []
        self.ended: Final[dict[Signals, int]] = {SIGKILL: 0, SIGTERM: 0}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all gateways, and end those that are left."""
        self._processes = [self._start(number) for number in range(len(self._ports))]
        try:
            for process in self._processes:
                _await_ready(process)
            yield
        finally:
            for process in self._processes:
                process.kill()
                process.wait()

    def end(self) -> None:
        """Asks all to end, and waits until they have. Raises :class:`BenchError` where one has complained."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
        said = self._errors.read_text(encoding="utf-8").splitlines()
        if unexpected := [line for line in said if not line.startswith("Failpath: ")]:
            msg = f"a gateway says: {unexpected[0]}"
            raise BenchError(msg)

    async def fail_at_times(self, share: int, of: int, over: asyncio.Event) -> None:
        """End one gateway after another and restart it, until it is ``over``; then all are running."""
        mine = range(share, len(self._ports), of)
        chance = self._chance[share]
        while not await is_over(over, chance.uniform(*_UP)):
            await self._restart(chance.choice(mine), chance)

    async def _restart(self, number: int, chance: Random) -> None:
        how = SIGKILL if chance.random() < _KILLED else SIGTERM
        self.ended[how] += 1
        process = self._processes[number]
        process.send_signal(how)
        await asyncio.to_thread(process.wait)
        await asyncio.sleep(chance.uniform(*_DOWN))
        self._processes[number] = self._start(number)
        await asyncio.to_thread(_await_ready, self._processes[number])

    def _start(self, number: int) -> subprocess.Popen[str]:
        variables = self._variables
        if number == len(self._ports) - 1:
            variables = {**variables, "FAILPATH_JOURNAL": "off"}
        command = [*_COMMAND, str(self._ports[number])]
        with self._errors.open("a", encoding="utf-8") as errors:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables)


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        ready = process.stdout.readline()
    if not ready:
        msg = "a gateway does not start"
        raise BenchError(msg)
