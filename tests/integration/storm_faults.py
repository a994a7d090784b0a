"""Faults that a program of a storm makes for itself, each for a while: of its disk, its descriptors, its clock."""

import contextlib
import os
import random
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Final, NamedTuple

SIGNALS: Final = "signals"
FORKS: Final = "forks"
DISK: Final = "disk"
DESCRIPTORS: Final = "descriptors"
CLOCK: Final = "clock"
FAULTS: Final = (SIGNALS, FORKS, DISK, DESCRIPTORS, CLOCK)

ROLLING: Final = "rolling"
ADOPTING: Final = "adopting"
FORKING: Final = "forking"
DEATHS: Final = frozenset({ROLLING, ADOPTING, FORKING})
"""What a program is killed in the midst of, by itself; see :func:`die_within`."""

SEGMENT_BYTES: Final = 196_608
"""Of the journals of such programs, so that many segments are begun; records have to fit into half of one."""

RETRY_SECONDS: Final = 0.2
"""After which such a program tries a journal again that has failed."""

_DISK_BYTES: Final = 180_000
"""Larger than a ledger gets, and smaller than a segment, so that none can be begun any more."""

_YEAR: Final = 31_556_952
_REST: Final = (0.005, 0.15)
_FAULT: Final = (0.005, 0.3)
_LOOK_SECONDS: Final = 0.02
_SLOW_SECONDS: Final = 0.005
_MOST_CHILDREN: Final = 3
_CHILD_SECONDS: Final = 20.0


def now() -> str:
    """The time that a ledger names: of a clock that does not jump, and is the same for all programs."""
    return f"{time.monotonic():.4f}"


class Clock:
    """The clock on the wall, which jumps; to be made before anything imports a function of ``time``."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        # A machine may also start with a wrong clock, and find out later.
        self._offset = 0 if chance.random() < 0.6 else self._years()
        clock, clock_ns = time.time, time.time_ns
        time.time = lambda: clock() + self._offset
        time.time_ns = lambda: clock_ns() + self._offset * 1_000_000_000

    def _years(self) -> int:
        return int(self._chance.choice((-20, -3, -1, 1, 3, 30)) * _YEAR * self._chance.random())

    def jump(self) -> None:
        self._offset = self._years()

    def set_right(self) -> None:
        self._offset = 0


def fill_disk() -> None:
    """No file can grow beyond what it takes to set a segment aside; others can."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_DISK_BYTES, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def empty_disk() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def slow_disk(chance: random.Random) -> None:
    """From now on it takes a while to set a segment aside, so that signals come meanwhile."""
    if not hasattr(os, "posix_fallocate"):
        return
    set_aside = os.posix_fallocate

    def slowly(descriptor: int, offset: int, length: int) -> None:
        time.sleep(chance.uniform(0, _SLOW_SECONDS))
        set_aside(descriptor, offset, length)

    os.posix_fallocate = slowly


def die_within(calls: frozenset[CodeType], most: int, chance: random.Random, path: str) -> None:
    """From now on, each process kills itself within one of these calls, or what they call.

    Args:
        calls: the functions.
        most: how many calls and returns of functions there are within them until then, at most.
        chance: chooses.
        path: of a file that says where it was.
    """
    left = {os.getpid(): chance.randrange(most)}

    def look(frame: FrameType, event: str, _: object) -> None:
        above = frame.f_back
        if frame.f_code not in calls and (above is None or above.f_code not in calls):
            return
        pid = os.getpid()
        left[pid] = left.get(pid, chance.randrange(most)) - 1  # a child chooses for itself
        if left[pid] < 0:
            with open(path, "ab") as file:  # noqa: PTH123 - before anything else is called
                file.write(f"{pid} {frame.f_code.co_name} {event}\n".encode())
            os.kill(pid, signal.SIGKILL)

    threading.setprofile(look)
    sys.setprofile(look)


def take_descriptors() -> None:
    """What is open stays so, and nothing more can be opened."""
    try:
        lowest = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return  # there is none as it is
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, _DESCRIPTORS[1]))


def give_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, _DESCRIPTORS)


_DESCRIPTORS: Final = resource.getrlimit(resource.RLIMIT_NOFILE)


class _Child(NamedTuple):
    pid: int
    name: str
    held: bool
    killed_at: float


class Children:
    """Forks some children, sees to it that they end, and has a part of them killed.

    Args:
        name: of the program; those of its children begin with it.
        run: what a child does, given its name and whether it is to hold until it is killed.
        note: writes into the ledger of this program.
        chance: chooses.
    """

    def __init__(
        self, name: str, run: Callable[[str, bool], object], note: Callable[..., object], chance: random.Random
    ) -> None:
        self._name = name
        self._run = run
        self._note = note
        self._chance = chance
        self._forked = 0
        self._alive: list[_Child] = []

    def fork(self) -> None:
        """One more, from whichever thread this is, be it in the midst of a signal handler."""
        if self._forked >= _MOST_CHILDREN:
            return
        self._forked += 1
        name = f"{self._name}c{self._forked}"
        held = self._chance.random() < 0.6
        delay = self._chance.uniform(0, 0.3) if held else _CHILD_SECONDS
        pid = os.fork()
        if pid == 0:
            try:
                self._run(name, held)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(70)
        self._alive.append(_Child(pid, name, held, time.monotonic() + delay))

    def see_to_them(self) -> None:
        """Kills those whose time has come, and takes leave of those that have ended."""
        for child in tuple(self._alive):
            due = child.killed_at <= time.monotonic()
            if due:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            pid, status = os.waitpid(child.pid, 0 if due else os.WNOHANG)
            if not pid:
                continue
            self._alive.remove(child)
            if due and not child.held:
                self._note("child", child.name, "stuck", now())
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status):
                self._note("child", child.name, "failed", now())

    def wait(self) -> None:
        """Waits until all have ended."""
        while self._alive:
            self.see_to_them()
            time.sleep(_LOOK_SECONDS)


class Faults:
    """One fault after the other, on a thread of its own.

    Args:
        names: of the faults that there are to be.
        clock: jumps.
        children: are forked.
        note: writes into the ledger when a fault begins and when it has ended.
        chance: chooses.
    """

    def __init__(
        self,
        names: frozenset[str],
        clock: Clock | None,
        children: Children,
        note: Callable[..., object],
        chance: random.Random,
    ) -> None:
        self._pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            DISK: (fill_disk, empty_disk),
            DESCRIPTORS: (take_descriptors, give_descriptors),
        }
        if clock is not None:
            self._pairs[CLOCK] = (clock.jump, clock.set_right)
        self._names = sorted(names & (self._pairs.keys() | {FORKS}))
        self._children = children
        self._note = note
        self._chance = chance
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="faults", daemon=True)

    def begin(self) -> None:
        if self._names:
            self._thread.start()

    def end(self) -> None:
        """Ends the fault that there is, and waits for the children."""
        self._over.set()
        if self._names:
            self._thread.join()
        self._children.wait()

    def _work(self) -> None:
        while not self._over.wait(self._chance.uniform(*_REST)):
            self._children.see_to_them()
            name = self._chance.choice(self._names)
            if name == FORKS:
                self._children.fork()
                continue
            begin, end = self._pairs[name]
            self._note("fault", name, "begins", now())
            begin()
            self._over.wait(self._chance.uniform(*_FAULT))
            end()
            self._note("fault", name, "ends", now())
