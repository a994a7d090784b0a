"""Losses of a fleet: 1,000 services, four gateways that are killed, and a Failpath that fails.

``FLEET_SEED`` selects times and kinds of failures; their interleaving depends on the machine.
"""

import asyncio
import os
import resource
import socket
import time
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from signal import SIGKILL, SIGTERM
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

from bench.fleet_failpath import FailingFailpath
from bench.fleet_gateways import Gateways
from bench.fleet_services import COME_AGAIN, Made, Service
from bench.sink import HOST, BenchError
from bench.table import Row

_SERVICES: Final = 1_000
_GATEWAYS: Final = 4
_FAILING_AT_A_TIME: Final = 2
_SECONDS: Final = 25.0
"""How long the services make steps, and all others fail."""

_MORE_SECONDS: Final = 60.0
"""How long they may take after that to have all taken by some gateway."""

_PATIENCE: Final = 20.0
"""How long nothing may arrive at the end, until what is missing counts as lost."""

_FILES: Final = 8_192


def measure() -> list[Row]:
    """Simulate the fleet; raise :class:`BenchError` if a record is lost, invented, or refused for good."""
    seed = int(os.environ.get("FLEET_SEED", "1"))
    with TemporaryDirectory() as directory:
        return asyncio.run(_simulate(seed, Path(directory)))


async def _simulate(seed: int, directory: Path) -> list[Row]:
    _allow_many_files()
    failpath_port, *ports = _unused_ports(1 + _GATEWAYS)
    failpath, made = FailingFailpath(seed, failpath_port), Made()
    await failpath.start()
    gateways = Gateways(seed, ports, failpath.url, directory)
    begun = time.monotonic()
    with gateways.running():
        over = asyncio.Event()
        failures = asyncio.gather(
            failpath.fail_at_times(over),
            *(gateways.fail_at_times(share, _FAILING_AT_A_TIME, over) for share in range(_FAILING_AT_A_TIME)),
        )
        services = asyncio.gather(*(Service(number, seed, ports, made).run(_SECONDS) for number in range(_SERVICES)))
        try:
            await asyncio.sleep(_SECONDS)
        finally:
            over.set()
            await failures
        try:
            await asyncio.wait_for(services, _MORE_SECONDS)
        except asyncio.TimeoutError:
            msg = (
                f"the gateways did not take all within {_MORE_SECONDS:.0f} s: {made.answers}, {made.broken} unanswered"
            )
            raise BenchError(msg) from None
        await _arrive(failpath, made)
        # Beside the loop, which still answers them: what they have not delivered yet they do now.
        await asyncio.to_thread(gateways.end)
    failpath.stop()
    _check(failpath, made)
    return _rows(failpath, made, gateways, time.monotonic() - begun)


async def _arrive(failpath: FailingFailpath, made: Made) -> None:
    """Waits until all records are there, or no more come."""
    before, since = -1, time.monotonic()
    while len(failpath.arrived) < len(made.records) and time.monotonic() < since + _PATIENCE:
        if len(failpath.arrived) > before:
            before, since = len(failpath.arrived), time.monotonic()
        await asyncio.sleep(0.1)


def _check(failpath: FailingFailpath, made: Made) -> None:
    lost, invented = made.records.keys() - failpath.arrived.keys(), failpath.arrived.keys() - made.records.keys()
    renamed = len(failpath.ids) - len(failpath.arrived)
    if lost or invented or renamed or made.final:
        answers = f"final answers: {dict(made.final)}" if made.final else "no final answers"
        msg = f"{len(lost)} records lost, {len(invented)} invented, {renamed} under two ids; {answers}"
        raise BenchError(msg)


def _rows(failpath: FailingFailpath, made: Made, gateways: Gateways, seconds: float) -> list[Row]:
    outcomes = [key for key in made.records if key[2] != "running"]
    waits = [(failpath.arrived[key] - made.records[key]) / 1e9 for key in outcomes]
    cuts = quantiles(waits, n=20)
    again = {status: count for status, count in sorted(made.answers.items()) if status in COME_AGAIN}
    statuses = ", ".join(f"{count:,} x {status}" for status, count in again.items()) or "none"
    ends = f"{gateways.ended[SIGKILL]} killed and {gateways.ended[SIGTERM]} asked to end"
    return [
        Row(
            "fleet: records lost",
            f"0 of {len(made.records):,}; {made.steps:,} steps of {_SERVICES:,} services in {seconds:.0f} s",
            value=0.0,
            bar=0.0,
        ),
        Row("fleet: gateways that failed", f"{ends}, of {_GATEWAYS}"),
        Row("fleet: failures of Failpath", ", ".join(f"{count} x {kind}" for kind, count in failpath.failures.items())),
        Row("fleet: records that came again", f"{failpath.doubled:,}, dropped by their ids"),
        Row("fleet: requests that were to come again", f"{statuses}, of {made.requests:,}"),
        Row("fleet: requests without an answer", f"{made.broken:,} of {made.requests:,}"),
        Row("fleet: from the end of a step to Failpath", f"median {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s"),
    ]


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _unused_ports(count: int) -> list[int]:
    """Return ports outside the ephemeral range: no other program gets one while its owner is down."""
    found: list[int] = []
    while len(found) < count:
        port = SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex((HOST, port)):
                found.append(port)
    return found
