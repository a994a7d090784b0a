"""A storm: programs that are killed at random instants, a few at a time, all with one journal directory."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.delivery.programs import environment
from tests.integration.storm_ledger import Program, pid_in
from tests.receiver import COMMAND

PROGRAM: Final = Path(__file__).with_name("storm_program.py")
FAULTY: Final = Path(__file__).with_name("storm_faulty.py")
ROOT: Final = PROGRAM.parents[2]
AT_A_TIME: Final = 5
STEPS: Final = 150
"""Steps of each worker of a program; at most six workers, so that no queue is ever full."""

_LOOK_SECONDS: Final = 0.000_5
_DEADLINE: Final = 60.0
_DRAIN: Final = (*COMMAND, "drain", "--timeout")
_DRAIN_SECONDS: Final = 1.0
"""For what each program has left: a batch that is refused for what it contains is searched, and a pause follows."""
_IMPORT_SECONDS: Final = 0.15
_CONFIGURED: Final = len("configured\n")
_SURE_BYTES: Final = 4_000
"""A ledger always grows beyond this: 150 steps, each with at least one line of about thirty characters."""
_LATER_SECONDS: Final = 4.0
"""Until the faults are over, and what they have done has been made good."""
_ALONE_SECONDS: Final = 0.2
"""For which the children of a program that was killed live on, at most."""


@dataclass(frozen=True)
class Instant:
    """When a program is killed: ``delay`` seconds after its ledger has ``size`` bytes, or after it began."""

    size: int
    delay: float


def instants(number: int, chance: random.Random, *, later: bool) -> Iterator[Instant]:
    """Random instants, of every kind, and ``later`` ones as well."""
    kinds: tuple[Callable[[], Instant], ...] = (
        # Python begins, imports, configures, and here and there already runs steps.
        lambda: Instant(-1, chance.uniform(0, 0.8)),
        lambda: Instant(_CONFIGURED, chance.uniform(0, 0.003)),
        lambda: Instant(_CONFIGURED + 1, chance.uniform(0, 0.003)),
        lambda: Instant(chance.randrange(_CONFIGURED, _SURE_BYTES), chance.uniform(0, 0.01)),
        lambda: Instant(chance.randrange(_CONFIGURED, _SURE_BYTES), chance.uniform(0, 0.1)),
        lambda: Instant(_SURE_BYTES, chance.uniform(0, 1.0)),
        *([lambda: Instant(_SURE_BYTES, chance.uniform(0, _LATER_SECONDS))] if later else []),
    )
    for index in range(number):
        yield kinds[index % len(kinds)]()


class Storm:
    """Programs that report to ``url``, with all that they leave below ``directory``.

    Each makes some of the ``faults`` for itself.
    """

    def __init__(self, directory: Path, url: str, seed: int, faults: Sequence[str] = ()) -> None:
        self.journal: Final = directory / "journal"
        self.seed: Final = seed
        self._faults: Final = faults
        self.programs: list[Program] = []
        self._directory: Final = directory
        self._environment: Final = environment(
            url,
            FAILPATH_JOURNAL=str(self.journal),
            # A program that waits for a processor must not take a batch for lost which has come.
            FAILPATH_SEND_TIMEOUT="30",
            PYTHONPATH=str(ROOT),
        )

    def kill(self, number: int) -> None:
        """Runs and kills so many programs, a few at a time."""
        first = len(self.programs)
        chance = random.Random(self.seed + first)
        plan = list(enumerate(instants(number, chance, later=bool(self._faults)), first))
        chance.shuffle(plan)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self._add(pool.map(lambda planned: self._kill_one(*planned), plan))

    def run_to_the_end(self, number: int) -> None:
        """Runs so many programs that nobody kills, a few at a time."""
        first = len(self.programs)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self._add(pool.map(self._run_one, range(first, first + number)))

    def let_die(self, number: int) -> list[str]:
        """Runs so many programs that kill themselves, a few at a time; returns where they did."""
        first = len(self.programs)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self._add(pool.map(self._await_death, range(first, first + number)))
        places = sorted(self._directory.glob("*.death"))
        return [line for place in places for line in place.read_text(encoding="utf-8").splitlines()]

    def kill_adopters(self, number: int) -> None:
        """Kills so many processes that deliver what others have left: programs, and the command for it."""
        first = len(self.programs)
        chance = random.Random(self.seed + first)
        delays = [chance.uniform(0, 0.4) for _ in range(number)]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            drained = pool.map(self._kill_drain, delays[::2])
            self._add(
                pool.map(
                    lambda planned: self._kill_one(planned[0], Instant(_CONFIGURED, planned[1])),
                    enumerate(delays[1::2], first),
                )
            )
            list(drained)  # raises what was raised

    def drain(self) -> str:
        """Delivers what is left, as a user would; returns what that has said."""
        seconds = _DEADLINE + len(self.programs) * _DRAIN_SECONDS
        done = subprocess.run(
            [*_DRAIN, str(seconds)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds + _DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout

    @contextmanager
    def started(self, name: str, after: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
        """A running program and its ledger; what it complains of is an error, unless it is that it lacks the server."""
        ledger, errors = self._directory / f"{name}.ledger", self._directory / f"{name}.stderr"
        command = [sys.executable, str(PROGRAM), name, str(ledger), f"{self.seed} {name}", str(STEPS), after]
        if self._faults:
            chance = random.Random(f"{self.seed} {name} faults")
            faults = [fault for fault in self._faults if chance.random() < 0.5] or [chance.choice(self._faults)]
            command[1] = str(FAULTY)
            command.append(",".join(faults))
        ended, held = os.pipe()  # closed when the program has ended, and all its children
        try:
            with (
                errors.open("wb") as stderr,
                subprocess.Popen(
                    command, env=self._environment, stderr=stderr, start_new_session=True, pass_fds=[held]
                ) as process,
            ):
                os.close(held)
                try:
                    yield process, ledger
                finally:
                    process.kill()
                    process.wait(_DEADLINE)
                    _end_group(process.pid, ended, chance.uniform(0, _ALONE_SECONDS) if self._faults else 0.0)
        finally:
            os.close(ended)
        said = errors.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in said, said

    def _add(self, programs: Iterator[Program]) -> None:
        """Programs that have run, and their children."""
        for program in programs:
            self.programs.append(program)
            for ledger in sorted(self._directory.glob(f"{program.name}c*.ledger")):
                self.programs.append(Program(ledger.stem, pid_in(ledger), True, ledger))

    def _kill_one(self, index: int, instant: Instant) -> Program:
        name = f"p{index}"
        with self.started(name, "hold") as (process, ledger):
            if instant.size >= 0:
                _until_it_has(ledger, instant.size, process)
            time.sleep(instant.delay)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(_DEADLINE) == -signal.SIGKILL, (self._directory / f"{name}.stderr").read_text()
        return Program(name, process.pid, True, ledger)

    def _await_death(self, index: int) -> Program:
        name = f"p{index}"
        with self.started(name, "hold") as (process, ledger):
            code = process.wait(_DEADLINE)
            assert code == -signal.SIGKILL, (self._directory / f"{name}.stderr").read_text()
        return Program(name, process.pid, True, ledger)

    def _kill_drain(self, delay: float) -> None:
        with subprocess.Popen([*_DRAIN, str(_DEADLINE)], env=self._environment, stdout=subprocess.DEVNULL) as process:
            time.sleep(_IMPORT_SECONDS + delay)
            process.kill()
            code = process.wait(_DEADLINE)
        # It may be through before, also without what others are about to deliver.
        assert code in {0, 1, -signal.SIGKILL}, code

    def _run_one(self, index: int) -> Program:
        name = f"p{index}"
        with self.started(name, "end") as (process, ledger):
            assert process.wait(_DEADLINE) == 0, (self._directory / f"{name}.stderr").read_text()
        return Program(name, process.pid, False, ledger)


def _until_it_has(ledger: Path, size: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _DEADLINE
    while not ledger.exists() or ledger.stat().st_size < size:
        assert process.poll() is None, "it has ended by itself"
        assert time.monotonic() < deadline, f"{ledger.name} does not grow to {size} bytes"
        time.sleep(_LOOK_SECONDS)


def _end_group(pid: int, ended: int, delay: float) -> None:
    """Kills the children of a process that is gone, after ``delay`` seconds, and waits until they are gone."""
    if select.select([ended], [], [], delay)[0]:
        return
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    assert select.select([ended], [], [], _DEADLINE)[0], "children that cannot be killed"
