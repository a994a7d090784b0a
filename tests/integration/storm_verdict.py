"""Compares what programs have written into their ledgers with the bodies of the requests that a server got."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from failpath_otel.export.record import Record
from tests.integration.storm_program import FLOW
from tests.schema import records_of

Step = tuple[str, str]
"""A run id and a step key."""

_SHOWN: Final = 10


def program_of(run_id: str) -> str:
    """The name of the program whose run it is."""
    return run_id.partition(".")[0]


def worker_of(run_id: str) -> str:
    """The worker whose run it is, by the name of its program and its own."""
    return run_id.rpartition(".")[0]


@dataclass(frozen=True)
class Program:
    """One run of the program: its name and its pid, whether it was killed, and its ledger."""

    name: str
    pid: int
    killed: bool
    ledger: Path


@dataclass
class Verdict:
    """What was found: ``problems`` in words, and counts."""

    problems: list[str] = field(default_factory=list)
    repeated: int = 0
    """Records that had come before."""

    resent: int = 0
    """How often a request began with records of a program that had come before."""

    records: int = 0
    entered: int = 0
    torn_off: int = 0
    """Steps that the ledger does not know, or not the end of, because their program was killed just then."""

    def __str__(self) -> str:
        shown = [*self.problems[:_SHOWN], *([f"… {len(self.problems)} in all"] if len(self.problems) > _SHOWN else [])]
        counted = (
            f"{self.entered} steps entered; {self.records} records received, {self.repeated} of them again, in "
            f"{self.resent} requests; {self.torn_off} steps died between a record and its line in the ledger"
        )
        return "\n".join([counted, *shown])


def judge(programs: Sequence[Program], bodies: Iterable[bytes]) -> Verdict:
    """Whether every step is there that a ledger knows, whole and once, and no step that it cannot know."""
    verdict = Verdict()
    records = _received(bodies, verdict)
    statuses = _statuses(records, verdict)
    names = {program.name for program in programs}
    strangers = {run_id for run_id, _ in statuses if program_of(run_id) not in names}
    verdict.problems += [f"invented: the run {run_id} of no program" for run_id in sorted(strangers)]
    pids = {program.name: program.pid for program in programs}
    for record in records:
        pid = record.process.pid if record.process is not None else None
        if pid != pids.get(program_of(record.run_id), pid):
            verdict.problems.append(f"a record of another process: {record}")
    for program in programs:
        _compare(program, statuses, verdict)
    return verdict


def _received(bodies: Iterable[bytes], verdict: Verdict) -> list[Record]:
    """The records in the order in which each came first."""
    by_id: dict[str, Record] = {}
    histories: defaultdict[str, _History] = defaultdict(_History)
    for body in bodies:
        try:
            records = records_of(body)
        except (msgspec.MsgspecError, AssertionError, ValueError) as error:
            verdict.problems.append(f"torn: {error!r} of {body[:200]!r}")
            continue
        by_program: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            verdict.records += 1
            by_program[program_of(record.run_id)].append(record.id)
            before = by_id.setdefault(record.id, record)
            if before is record:
                _check_contents(record, verdict)
                continue
            verdict.repeated += 1
            if before != record:
                verdict.problems.append(f"one id, two records: {before} and {record}")
        for name, ids in by_program.items():
            histories[name].add(name, ids, verdict)
    return list(by_id.values())


class _History:
    """In which order the records of one program came, and from where on they may come again.

    Only the batch that was in flight when its sender died is sent again: once a request began with a later record,
    whoever has sent it knew that all before were delivered.
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._settled = 0

    def add(self, name: str, ids: Sequence[str], verdict: Verdict) -> None:
        known = len(self._places)
        first = min(self._places.setdefault(record_id, len(self._places)) for record_id in ids)
        verdict.resent += first < known
        if first < self._settled:
            verdict.problems.append(f"settled, and sent again: record {first} of {name} after {self._settled}")
        self._settled = max(first, self._settled)


def _check_contents(record: Record, verdict: Verdict) -> None:
    if record.flow_key != FLOW:
        verdict.problems.append(f"invented: another flow: {record}")
    metadata: dict[str, Any] = record.metadata
    if metadata and metadata != {"text": metadata.get("text"), "sum": zlib.crc32(str(metadata.get("text")).encode())}:
        verdict.problems.append(f"torn: the metadata of {record}")


def _statuses(records: Sequence[Record], verdict: Verdict) -> dict[Step, list[str]]:
    """The statuses of each step, in the order in which they came."""
    found: dict[Step, list[str]] = {}
    spans: dict[Step, tuple[str, str]] = {}
    for record in records:
        step, span = (record.run_id, record.step_key), (record.trace_id, record.span_id)
        statuses = found.setdefault(step, [])
        if spans.setdefault(step, span) != span or record.status in statuses:
            verdict.problems.append(f"doubled: {record}")
        elif statuses and (statuses != ["running"] or record.status == "running"):
            verdict.problems.append(f"{record.status} after {statuses}: {record}")
        statuses.append(record.status)
    return found


def _compare(program: Program, statuses: dict[Step, list[str]], verdict: Verdict) -> None:
    entered, ended = _read(program.ledger)
    verdict.entered += len(entered)
    late: Counter[str] = Counter()
    for step in entered:
        if "running" not in statuses.get(step, []):
            verdict.problems.append(f"lost: {step} of {program} was entered and is not there: {statuses.get(step)}")
    for step, status in ended.items():
        expected = ["running", status] if step in entered else [status]
        if statuses.get(step) != expected:
            verdict.problems.append(f"lost: {step} of {program} has ended as {expected}, got {statuses.get(step)}")
    for step, got in statuses.items():
        if program_of(step[0]) != program.name or step in ended:
            continue
        # What a worker was at when it was killed can be between a record and the line about it; all else cannot.
        if step not in entered or got != ["running"]:
            late[worker_of(step[0])] += 1
            if not program.killed or late[worker_of(step[0])] > 1:
                verdict.problems.append(f"invented: {step} of {program} has no line in the ledger: {got}")
    verdict.torn_off += sum(late.values())


def _read(ledger: Path) -> tuple[set[Step], dict[Step, str]]:
    """The steps that were entered, and those that have ended, with their status."""
    entered: set[Step] = set()
    ended: dict[Step, str] = {}
    # A program may be killed while it writes its last line.
    for line in ledger.read_text(encoding="ascii").split("\n")[:-1] if ledger.exists() else []:
        match line.split(" "):
            case ["entered", run_id, key]:
                entered.add((run_id, key))
            case ["ended", run_id, key, status]:
                ended[run_id, key] = status
            case [_]:
                pass
            case _:
                msg = f"no line of a ledger: {line!r}"
                raise AssertionError(msg)
    return entered, ended
