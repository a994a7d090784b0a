"""A program that runs steps of all kinds until it is killed, and keeps a ledger of what it does.

Arguments: its name, the path of its ledger, a seed, the number of steps of each worker, and what comes after them:
``end``, or ``hold`` to wait inside of a step until it is killed. A worker is a thread or a task that does one thing
after the other; a run belongs to one worker, and a step key comes once in a program.

A line of the ledger is written by one system call, which survives the program: ``entered RUN STEP`` as the first thing
that a step's function does, ``ended RUN STEP STATUS`` when the call of the step has returned. What a program knows of
its journal at that moment stands behind it.
"""

import asyncio
import itertools
import os
import random
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Final

from failpath_otel import FailpathClient, Run, configure

FLOW: Final = "storm"
STEPS_PER_RUN: Final = 20
_TEXT: Final = "".join(chr(code) for code in (*range(32, 127), *range(0xE0, 0x100), 0x20AC, 0x1F4A5)) * 40
REFUSED: Final = "bad"
"""How the keys begin of steps that the endpoint does not take."""


def checked(text: str) -> dict[str, object]:
    """Metadata with which whoever receives it can tell whether it came whole."""
    return {"text": text, "sum": zlib.crc32(text.encode())}


class Planned(Exception):  # noqa: N818 - it is what was planned
    """The error of a step that is to fail."""


class Ledger:
    """The truth about the steps of a program, as the program itself saw it.

    Args:
        path: the file, to which others may append as well.
        state: the words that end a line about a step.
    """

    def __init__(self, path: str, state: Callable[[], tuple[str, ...]] = tuple) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._state = state

    def write(self, *words: str) -> None:
        os.write(self._file, (" ".join(words) + "\n").encode())

    def entered(self, run_id: str, key: str) -> None:
        self.write("entered", run_id, key, *self._state())

    def ended(self, run_id: str, key: str, status: str) -> None:
        self.write("ended", run_id, key, status, *self._state())


class Worker:
    """Runs steps, one after the other or one inside the other, on a thread."""

    numbers: Final = itertools.count()
    lengths: ClassVar[tuple[int, ...]] = (0, 0, 0, 40, 40, 400, 3_000)
    refused: ClassVar = 0.0
    """The part of its steps that the endpoint does not take, by their keys."""
    rests: ClassVar = 0.03
    """The part of its steps after which it does something else for a while."""

    def __init__(self, failpath: FailpathClient, ledger: Ledger, name: str, seed: str) -> None:
        self.failpath = failpath
        self.ledger = ledger
        self.name = name
        self.random = random.Random(seed)
        self.begun = 0
        self.forms: tuple[Callable[[Run, str, Callable[[], None]], object], ...] = (
            self.function,
            self.function,
            self.block,
            self.decorated,
            self.generator,
            self.shared_run,
        )

    def metadata(self) -> dict[str, object] | None:
        length = self.random.choice(self.lengths)
        at = self.random.randrange(len(_TEXT) - length)
        return checked(_TEXT[at : at + length]) if length else None

    def next_step(self) -> tuple[Run, str]:
        run_id = f"{self.name}.{self.begun // STEPS_PER_RUN}"
        self.begun += 1
        kind = REFUSED if self.random.random() < self.refused else "step"
        return self.failpath.run(FLOW, run_id=run_id), f"{kind}-{next(self.numbers)}"

    def work(self, steps: int) -> None:
        while self.begun < steps:
            kind = self.random.random()
            if kind < 0.1:
                self.leave_out()
            else:
                self.perform(0)
            if kind > 1 - self.rests:
                time.sleep(self.random.uniform(0, 0.02))  # what an application does between its steps

    def leave_out(self) -> None:
        run, key = self.next_step()
        if self.random.random() < 0.5:
            run.skip(key, metadata=self.metadata())
            self.ledger.ended(run.run_id, key, "skipped")
        else:
            self.failpath.record_step(
                flow_key=FLOW, run_id=run.run_id, step_key=key, status="success", metadata=self.metadata()
            )
            self.ledger.ended(run.run_id, key, "success")

    def perform(self, depth: int) -> None:
        run, key = self.next_step()
        fails = self.random.random() < 0.15
        inner = self.random.choice((0, 0, 0, 1, 2)) if depth < 3 else 0
        passes_on = self.random.random() < 0.3

        def body() -> None:
            self.ledger.entered(run.run_id, key)
            for _ in range(inner):
                try:
                    self.perform(depth + 1)
                except Planned:
                    if passes_on:
                        raise
            if fails:
                raise Planned(_TEXT[: self.random.choice(self.lengths)])

        status = "success"
        try:
            self.random.choice(self.forms)(run, key, body)
        except Planned:
            status = "error"
            if depth:
                raise
        finally:
            self.ledger.ended(run.run_id, key, status)

    def function(self, run: Run, key: str, body: Callable[[], None]) -> None:
        run.step(key, body, metadata=self.metadata())

    def block(self, run: Run, key: str, body: Callable[[], None]) -> None:
        with run.step(key) as step:
            body()
            step.set_metadata(self.metadata())

    def decorated(self, run: Run, key: str, body: Callable[[], None]) -> None:
        run.step(key, metadata=self.metadata())(body)()

    def generator(self, run: Run, key: str, body: Callable[[], None]) -> None:
        def items() -> Any:
            body()
            yield from range(3)

        for _ in run.step(key, metadata=self.metadata())(items)():
            pass

    def shared_run(self, run: Run, key: str, body: Callable[[], None]) -> None:
        with run:
            self.failpath.step(key)(body)()


class Task(Worker):
    """Runs steps in an asyncio task, beside others."""

    async def work_async(self, steps: int) -> None:
        while self.begun < steps:
            await self.perform_async(0)

    async def perform_async(self, depth: int) -> None:
        run, key = self.next_step()
        fails = self.random.random() < 0.15
        inner = self.random.choice((0, 0, 1)) if depth < 3 else 0

        async def body() -> None:
            self.ledger.entered(run.run_id, key)
            await asyncio.sleep(0)
            for _ in range(inner):
                await self.perform_async(depth + 1)
            if fails:
                raise Planned(key)

        status = "success"
        try:
            if self.random.random() < 0.5:
                await run.step(key, body, metadata=self.metadata())
            else:
                async with run.step(key, metadata=self.metadata()):
                    await body()
        except Planned:
            status = "error"
        self.ledger.ended(run.run_id, key, status)


def work(
    failpath: FailpathClient, ledger: Ledger, name: str, seed: str, steps: int, *, begun: Callable[[], object] = tuple
) -> Worker:
    """Has some workers run their steps to the end, and returns the one of this thread.

    Args:
        failpath: reports the steps.
        ledger: has them.
        name: of the program.
        seed: of what the workers choose.
        steps: of each worker.
        begun: called when all but the first of them have begun.
    """
    chance = random.Random(seed)
    looping = threading.Event()

    def work_in_tasks() -> None:
        async def work() -> None:
            looping.set()
            tasks = [Task(failpath, ledger, f"{name}.task{number}", f"{seed} task {number}") for number in range(3)]
            await asyncio.gather(*(task.work_async(steps // 2) for task in tasks))

        asyncio.run(work())

    workers = []
    for number in range(chance.randrange(3)):
        worker = Worker(failpath, ledger, f"{name}.thread{number}", f"{seed} thread {number}")
        workers.append(threading.Thread(target=worker.work, args=[steps]))
    if chance.random() < 0.5:
        workers.append(threading.Thread(target=work_in_tasks))
    else:
        looping.set()
    for thread in workers:
        thread.start()
    looping.wait()
    begun()
    first = Worker(failpath, ledger, f"{name}.main", seed)
    first.work(steps)
    for thread in workers:
        thread.join()
    return first


def hold(first: Worker) -> None:
    """Waits inside of a step until the program is killed."""
    run, key = first.next_step()
    with run.step(key):
        first.ledger.entered(run.run_id, key)
        threading.Event().wait()


def main(name: str, path: str, seed: str, steps: int, after: str) -> None:
    """Runs the program."""
    ledger = Ledger(path)
    failpath = configure()
    ledger.write("configured")
    first = work(failpath, ledger, name, seed, steps)
    ledger.write("through")
    if after == "hold":
        hold(first)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
