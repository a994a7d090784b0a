"""Where the programs of one test run: their flow, their journal, their ledger, and the receiver they report to."""

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.delivery.programs import environment
from tests.integration.processes.ledger import StepName, Told, differences, doubles, read_ledger
from tests.receiver import COMMAND, Receiver, wait_for

ROOT: Final = Path(__file__).parents[3]
PATIENCE: Final = 30.0
"""Seconds for whatever has to happen: living processes look for what others left every three."""

_T = TypeVar("_T")


@dataclass
class Program:
    """A program that was started, in a process group of its own; ``log`` is what it and its children have printed."""

    process: "subprocess.Popen[bytes]"
    command: tuple[str, ...]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self) -> int:
        """Waits for its end; returns the exit code."""
        return self.process.wait(PATIENCE)

    def write(self, line: str) -> None:
        """Writes one line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def is_gone(self) -> bool:
        """Whether every process is gone that has inherited its standard input: nobody could read a line any more."""
        assert self.process.stdin is not None
        poll = select.poll()
        poll.register(self.process.stdin, 0)
        return bool(poll.poll(0))

    def end(self) -> None:
        """Kills what is left of it and of its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


@dataclass
class Site:
    """What one test has at hand. ``flow`` keeps its steps apart from those of other tests at the same receiver."""

    receiver: Receiver
    database: Path
    directory: Path
    flow: str
    variables: dict[str, str] = field(default_factory=dict[str, str])
    programs: list[Program] = field(default_factory=list[Program])

    @property
    def journal(self) -> Path:
        return self.directory / "journal"

    def environment(self) -> dict[str, str]:
        """What the programs of this test find in their environment."""
        more = {
            "FAILPATH_PROJECT_KEY": self.receiver.key,
            "FAILPATH_JOURNAL": str(self.journal),
            "FLOW": self.flow,
            "LEDGER": str(self.directory / "ledger"),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of a fork beside threads, since 3.12
            "PYTHONUNBUFFERED": "1",
            **self.variables,
        }
        return environment(self.receiver.url, **more)

    def start(self, *command: str, cwd: Path = ROOT) -> Program:
        """Starts a program."""
        log = self.directory / f"log-{len(self.programs)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.programs.append(Program(process, command, log))
        return self.programs[-1]

    def start_app(self, name: str, *arguments: str) -> Program:
        """Starts one of the programs in ``apps/``."""
        return self.start(sys.executable, "-m", f"tests.integration.processes.apps.{name}", *arguments)

    def run_app(self, name: str, *arguments: str, code: int = 0) -> Program:
        """Runs one of the programs in ``apps/`` to its end, which has to be with ``code``."""
        program = self.start_app(name, *arguments)
        assert program.wait() == code, program.output()
        return program

    def wait_for(self, predicate: Callable[[], _T], what: str) -> _T:
        """The first truthy value of ``predicate``; where there is none for long, what the programs said is told."""
        try:
            return wait_for(predicate, PATIENCE, f"no {what} within {PATIENCE:.0f} s")
        except AssertionError as error:
            said = "\n".join(f"--- {program.command}\n{program.output()}" for program in self.programs)
            raise AssertionError(f"{error}\n{said}") from None

    def told(self) -> dict[StepName, Told]:
        """What the programs say of their steps."""
        return read_ledger(self.directory / "ledger")

    def patience(self) -> list[tuple[bool | None, float]]:
        """What processes say of their ends: whether these will be abrupt, and for how long ends of runs have waited."""
        lines = (self.directory / "ledger-patience").read_text().splitlines()
        return [(expected, spent) for _, expected, spent in map(json.loads, lines)]

    def wait_for_mark(self, mark: str, key: str, count: int = 1) -> list[Told]:
        """Waits until ``count`` steps with ``key`` have got as far as ``mark``; returns them."""

        def reached() -> list[Told]:
            found = [step for (_, name), step in self.told().items() if name == key and mark in step.marks]
            return found if len(found) >= count else []

        return self.wait_for(reached, f"step {key} that is {mark}")

    def differences(self) -> list[str]:
        """Where the receiver does not show what was told."""
        told = self.told()
        answer = self.receiver.runs(flow=self.flow, limit=1000)
        return differences(told, answer)

    def wait_until_shown(self) -> None:
        """Waits until the receiver shows every step as it is: what living processes deliver by themselves."""
        assert self.told(), "no step was called"
        last: list[list[str]] = [[]]

        def same() -> bool:
            last[0] = self.differences()
            return not last[0]

        try:
            self.wait_for(same, "agreement")
        except AssertionError as error:
            raise AssertionError("\n".join([*last[0], str(error)])) from None
        self._nothing_is_doubled()

    def _nothing_is_doubled(self) -> None:
        doubled = doubles(self.events())
        assert not doubled, doubled

    def drain(self) -> str:
        """Delivers what is left as a user would when nobody is there any more; returns what the command said."""
        drained = subprocess.run(
            [*COMMAND, "drain", "--timeout", "10"],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert drained.returncode == 0, (drained.stdout, drained.stderr)
        return drained.stdout

    def check(self) -> None:
        """When every program is gone: drains the journal, after which every step is shown once, and as it is."""
        for program in self.programs:
            assert program.process.poll() is not None, f"{program.command} runs"
        assert self.told(), "no step was called"
        drained = self.drain()
        different = self.differences()
        assert not different, "\n".join([*different, f"drained: {drained!r}"])
        self._nothing_is_doubled()

    def events(self) -> list[dict[str, Any]]:
        """The records of this flow in the receiver's database, each id once."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT payload FROM events WHERE flow_key = ?", (self.flow,)).fetchall()
        return [json.loads(payload) for (payload,) in rows]


@contextmanager
def open_site(receiver: Receiver, database: Path, directory: Path, flow: str) -> Iterator[Site]:
    """A site whose programs are ended with it."""
    site = Site(receiver, database, directory, flow)
    try:
        yield site
    finally:
        for program in site.programs:
            program.end()
