"""The program of a storm with faults: of its disk, its descriptors and its clock, signal handlers, forks.

Arguments: as those of `storm_program.py`, and the faults that there are to be, with commas between. Its ledger says
more as well, each with a time: what the log says, whether records go into the journal, when a fault begins and ends,
and when `stats()` does not add up. One that is to die in the midst of something kills itself. Its children have ledgers
of their own, beside its own.
"""

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from tests.integration import storm_faults
from tests.integration.storm_faults import Children, Clock, Faults, now

if __name__ == "__main__" and storm_faults.CLOCK in sys.argv[6].split(","):
    CLOCK: Clock | None = Clock(random.Random(f"{sys.argv[3]} clock"))
else:
    CLOCK = None

# Not before: the package takes functions of `time` as it finds them.
from failpath_otel import FailpathClient, configure, limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal.current import CurrentSegment
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.open_files import OpenFiles
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.reader import SegmentReader
from failpath_otel.journal.segment_factory import SegmentFactory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from tests.integration.storm_program import Ledger, Worker, hold, work

ROLLING: Final = frozenset({Journal._roll.__code__, SyscallWriter.append.__code__})
"""What is interrupted by a signal handler whose records have to wait until that is over."""

BEFORE: Final = frozenset({"queue_full", "shut_down", "invalid"})
"""Why records are dropped that were not accepted."""

LIMITS: Final = {
    "JOURNAL_SEGMENT_BYTES": storm_faults.SEGMENT_BYTES,
    "JOURNAL_RETRY_FIRST_SECONDS": storm_faults.RETRY_SECONDS,
    "JOURNAL_RETRY_SECONDS": storm_faults.RETRY_SECONDS,
    "ORPHAN_SCAN_SECONDS": 0.2,
    "RETRY_FIRST_DELAY": 0.05,
    "RETRY_MAX_DELAY": 0.5,
}
"""Of such a program, so that within its short life much happens."""

DEADLY: Final = {
    storm_faults.ROLLING: (
        frozenset(
            function.__code__
            for function in (
                Journal._write_or_roll,
                Journal._begin_segment,
                Journal.finish_segment,
                SegmentFactory.next_segment,
                CurrentSegment.finish,
                MappedWriter.seal,
            )
        ),
        300,
    ),
    storm_faults.ADOPTING: (
        frozenset(
            function.__code__
            for function in (
                lock_orphans,
                Orphan.__init__,
                Orphan.trim,
                Orphan.remove,
                Orphan.close,
                OrphanSource.take,
                OrphanSource.settle,
                SegmentReader.read,
                SegmentReader.confirm,
            )
        ),
        600,
    ),
    storm_faults.FORKING: (
        frozenset(
            function.__code__
            for function in (
                Pipeline._reset_in_child,
                Pipeline._after_fork,
                Journal.reset_in_child,
                OpenFiles.close,
                MappedWriter.close,
                LockedDirectory.close,
            )
        ),
        150,
    ),
}
"""The functions in which a program kills itself, and how many events there are in them until then, at most."""

_DEADLY_SEGMENT_BYTES: Final = 65_536

_LOOKS: Final = (0.000_5, 0.004)
_ALIVE_SECONDS: Final = 0.1
_SIGNALS: Final = (0.000_2, 0.004)
_SHOWN: Final = 500
_FLUSH_SECONDS: Final = 20.0


def is_rolling(frame: FrameType | None) -> bool:
    """Whether a segment is just being begun below ``frame``."""
    while frame is not None and frame.f_code not in ROLLING:
        frame = frame.f_back
    return frame is not None


def amiss(before: Stats, stats: Stats) -> str:
    """What does not add up; empty where all does."""
    lost = sum(records for reason, records in stats.dropped.items() if reason not in BEFORE)
    if stats.accepted != stats.delivered + stats.waiting + lost:
        return f"{stats.accepted}!={stats.delivered}+{stats.waiting}+{lost}"
    for name in ("accepted", "delivered"):
        if getattr(stats, name) < getattr(before, name):
            return f"{name}:{getattr(before, name)}>{getattr(stats, name)}"
    return ""


class Said(logging.Handler):
    """Has the ledger say what the log says."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger | None = None

    def emit(self, record: logging.LogRecord) -> None:
        words = "_".join(record.getMessage().split())
        shown = words if len(words) <= 2 * _SHOWN else f"{words[:_SHOWN]}…{words[-_SHOWN:]}"
        if self.ledger is not None:
            self.ledger.write("said", record.levelname, now(), shown)


class Watch:
    """Looks at a process again and again, and has its ledger say what there is to see."""

    def __init__(self, failpath: FailpathClient, path: str) -> None:
        self._failpath = failpath
        self.ledger: Final = Ledger(path, self.state)
        self._journaling = True
        self.begin = threading.Thread(target=self._work, name="watch", daemon=True).start

    @property
    def pipeline(self) -> Pipeline:
        return self._failpath._join.reporter._pipelines[-1]

    def state(self) -> tuple[str, str]:
        return "on" if self.pipeline.queue.journaling else "off", now()

    def note(self, *words: str) -> None:
        self.ledger.write(*words)

    def check(self, before: Stats) -> Stats:
        """Has the ledger say what of ``stats()`` is amiss now."""
        stats = self._failpath.stats()
        wrong = amiss(before, stats)
        if wrong:
            self.note("amiss", wrong, now())
        return stats

    def count(self) -> None:
        """Has the ledger say how many records there were so far."""
        stats = self._failpath.stats()
        dropped = [f"{reason}:{records}" for reason, records in sorted(stats.dropped.items())]
        self.note("counted", str(stats.accepted), str(stats.delivered), str(stats.waiting), ",".join(dropped) or "-")

    def _work(self) -> None:
        chance = random.Random()
        alive_at = 0.0
        stats = self._failpath.stats()
        while True:
            mode, at = self.state()
            if (mode == "on") != self._journaling:
                self._journaling = mode == "on"
                self.note("journal", mode, at)
            if time.monotonic() >= alive_at:
                alive_at = time.monotonic() + _ALIVE_SECONDS
                self.note("alive", now())
            stats = self.check(stats)
            time.sleep(chance.uniform(*_LOOKS))


class Alarms:
    """A signal handler that runs steps, every now and then, wherever the main thread is."""

    def __init__(self, watch: Watch, worker: Worker, path: str, steps: int, fork: Callable[[], None]) -> None:
        self._watch = watch
        self._worker = worker
        worker.ledger = Ledger(path, self._state)
        self._steps = steps
        self._fork = fork
        self._rolling = False
        self._stats = Stats(0, 0, 0)
        self._chance = random.Random(f"{worker.name} alarms")

    def _state(self) -> tuple[str, str]:
        return ("roll", now()) if self._rolling else self._watch.state()

    def begin(self) -> None:
        signal.signal(signal.SIGALRM, self._handle)
        self._again()

    def end(self) -> None:
        self._steps = 0
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _again(self) -> None:
        if self._worker.begun < self._steps:
            # Not at intervals: one that comes while the one before is still at it would go deeper and deeper.
            signal.setitimer(signal.ITIMER_REAL, self._chance.uniform(*_SIGNALS))

    def _handle(self, _: int, frame: FrameType | None) -> None:
        self._rolling = is_rolling(frame)
        self._worker.work(self._worker.begun + 1)
        self._stats = self._watch.check(self._stats)
        if self._rolling and self._chance.random() < 0.3:
            self._fork()
        self._rolling = False
        self._again()


def main(name: str, path: str, seed: str, steps: int, after: str, *, faults: frozenset[str]) -> None:
    """Runs the program."""
    for limit, value in LIMITS.items():
        setattr(limits, limit, value)
    deaths = faults & storm_faults.DEATHS
    for death in deaths:
        limits.JOURNAL_SEGMENT_BYTES = _DEADLY_SEGMENT_BYTES  # type: ignore[misc]
        storm_faults.die_within(*DEADLY[death], random.Random(f"{seed} death"), f"{path}.death")
    if storm_faults.FORKING in deaths:
        faults |= {storm_faults.FORKS}
    Worker.lengths = (0, 0, 40, 400, 3_000, 4_000, 4_000)
    Worker.refused = 0.01
    Worker.rests = 0.1
    said = Said()
    logging.getLogger("failpath_otel").addHandler(said)
    failpath = configure()
    watch = Watch(failpath, path)
    said.ledger = watch.ledger
    watch.note("configured")
    watch.begin()

    def child(its_name: str, held: bool) -> None:
        storm_faults.empty_disk()
        storm_faults.give_descriptors()
        its_path = str(Path(path).with_name(f"{its_name}.ledger"))
        its_watch = Watch(failpath, its_path)
        said.ledger = its_watch.ledger
        its_watch.note("pid", str(os.getpid()))
        its_watch.begin()
        chance = random.Random(f"{seed} {its_name}")
        Worker(failpath, its_watch.ledger, f"{its_name}.main", f"{seed} {its_name}").work(chance.randrange(5, 50))
        its_watch.note("through")
        if held:
            signal.pause()
        if chance.random() < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)

    children = Children(name, child, watch.note, random.Random(f"{seed} children"))
    run_faults = Faults(faults, CLOCK, children, watch.note, random.Random(f"{seed} faults"))
    alarms = Alarms(
        watch,
        Worker(failpath, watch.ledger, f"{name}.alarms", f"{seed} alarms"),
        path,
        steps if storm_faults.SIGNALS in faults else 0,
        children.fork if storm_faults.FORKS in faults else lambda: None,
    )

    if storm_faults.SIGNALS in faults:
        storm_faults.slow_disk(random.Random(f"{seed} disk"))

    def begun() -> None:
        run_faults.begin()
        alarms.begin()

    first = work(failpath, watch.ledger, name, seed, steps, begun=begun)
    alarms.end()
    run_faults.end()
    if after == "end":
        failpath.flush(_FLUSH_SECONDS)
    watch.count()
    watch.note("through")
    if deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    if after == "hold":
        hold(first)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], faults=frozenset(sys.argv[6].split(",")))
