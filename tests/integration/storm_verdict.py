"""Compares what programs have written into their ledgers with the bodies of the requests that a server got."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from failpath_otel.records.record import Record
from tests.integration.storm_ledger import OFF, ROLL, Program, Step, Told, program_of, read_ledger, worker_of
from tests.integration.storm_program import FLOW, REFUSED
from tests.schema import records_of

_SHOWN: Final = 10
_LONGEST_MS: Final = 120_000.0
"""No program runs for so long, whatever its clock says."""


@dataclass
class Verdict:
    """What was found: ``problems`` in words, and counts."""

    problems: list[str] = field(default_factory=list)
    repeated: int = 0
    """Records that had come before."""

    resent: int = 0
    """How often a request began with records of a program that had come before."""

    asked: int = 0
    """Single records that came again later."""

    records: int = 0
    entered: int = 0
    torn_off: int = 0
    """Steps that the ledger does not know, or not the end of, because their program was killed just then."""

    entered_off: int = 0
    """Steps that were entered while the journal was off."""

    lost_off: int = 0
    """Steps of killed programs of which a record is not there that was made while the journal was off."""

    entered_rolling: int = 0
    """Steps that a signal handler has run while a segment was begun."""

    lost_rolling: int = 0
    """Those of which a record is not there, because their program was killed just then."""

    turned_off: int = 0
    """How often a journal was off."""

    refused: int = 0
    """Steps that the endpoint does not take."""

    def __str__(self) -> str:
        shown = [*self.problems[:_SHOWN], *([f"… {len(self.problems)} in all"] if len(self.problems) > _SHOWN else [])]
        counted = (
            f"{self.entered} steps entered; {self.records} records received, {self.repeated} of them again, in "
            f"{self.resent} requests, and {self.asked} that were to come again; {self.torn_off} steps died between a "
            "record and its line in the ledger"
        )
        faults = (
            f"{self.turned_off} times a journal was off, {self.entered_off} steps were entered meanwhile, "
            f"{self.lost_off} of them are not there or not whole; {self.entered_rolling} were run by signal handlers "
            f"while a segment was begun, {self.lost_rolling} of them are not there or not whole; {self.refused} refused"
        )
        return "\n".join([counted, faults, *shown])


def judge(programs: Sequence[Program], bodies: Iterable[bytes], again: int = 0) -> Verdict:
    """Whether every step is there that a ledger knows, whole and once, and no step that it cannot know.

    Args:
        programs: those that have run.
        bodies: of the requests that the endpoint has taken, in their order.
        again: where the endpoint refuses contents, how many records of a batch in flight may have been taken when
            their sender dies, because the batch was sent in parts. There a sender may also ask by a single record
            whether the endpoint takes any, and sends that again in its place.
    """
    verdict = Verdict()
    batches = _batches(bodies, verdict)
    records = _received(_without_questions(batches, verdict) if again else batches, again, verdict)
    statuses = _statuses(records, verdict)
    names = {program.name for program in programs}
    strangers = {run_id for run_id, _ in statuses if program_of(run_id) not in names}
    verdict.problems += [f"invented: the run {run_id} of no program" for run_id in sorted(strangers)]
    pids = {program.name: program.pid for program in programs}
    for record in records:
        pid = record.process.pid if record.process is not None else None
        if pid != (pids.get(program_of(record.run_id)) or pid):
            verdict.problems.append(f"a record of another process: {record}")
    for program in programs:
        _compare(program, statuses, verdict)
    return verdict


def _batches(bodies: Iterable[bytes], verdict: Verdict) -> list[list[Record]]:
    batches = []
    for body in bodies:
        try:
            batches.append(records_of(body))
        except (msgspec.MsgspecError, AssertionError, ValueError) as error:
            verdict.problems.append(f"torn: {error!r} of {body[:200]!r}")
    return batches


def _without_questions(batches: list[list[Record]], verdict: Verdict) -> list[list[Record]]:
    """All but the single records that come again later."""
    later: set[str] = set()
    kept = []
    for records in reversed(batches):
        if len(records) == 1 and records[0].id in later:
            verdict.asked += 1
        else:
            kept.append(records)
        later.update(record.id for record in records)
    return kept[::-1]


def _received(batches: list[list[Record]], again: int, verdict: Verdict) -> list[Record]:
    """The records in the order in which each came first."""
    by_id: dict[str, Record] = {}
    histories: defaultdict[str, _History] = defaultdict(lambda: _History(again))
    for records in batches:
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

    def __init__(self, again: int) -> None:
        self._again = again
        self._places: dict[str, int] = {}
        self._settled = 0

    def add(self, name: str, ids: Sequence[str], verdict: Verdict) -> None:
        known = len(self._places)
        first = min(self._places.setdefault(record_id, len(self._places)) for record_id in ids)
        verdict.resent += first < known
        if first < self._settled - self._again:
            verdict.problems.append(f"settled, and sent again: record {first} of {name} after {self._settled}")
        self._settled = max(first, self._settled)


def _check_contents(record: Record, verdict: Verdict) -> None:
    if record.flow_key != FLOW:
        verdict.problems.append(f"invented: another flow: {record}")
    metadata: dict[str, Any] = record.metadata
    if metadata and metadata != {"text": metadata.get("text"), "sum": zlib.crc32(str(metadata.get("text")).encode())}:
        verdict.problems.append(f"torn: the metadata of {record}")
    if record.duration_ms is not None and record.duration_ms > _LONGEST_MS:
        verdict.problems.append(f"time: the duration of {record}")


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
    told = read_ledger(program)
    verdict.problems += [f"{problem} ({program.name})" for problem in told.problems]
    verdict.entered += len(told.entered)
    verdict.entered_off += sum(mode == OFF for mode in told.entered.values())
    verdict.entered_rolling += sum(mode == ROLL for mode in told.entered.values())
    verdict.turned_off += sum(1 for _ in told.stretches())
    late: Counter[str] = Counter()
    for step in told.entered.keys() | told.ended.keys():
        if step[1].startswith(f"{REFUSED}-"):
            verdict.refused += 1
        else:
            _compare_step(program, told, step, statuses.get(step, []), verdict)
    for step, got in statuses.items():
        if program_of(step[0]) != program.name or step in told.ended:
            continue
        # What a worker was at when it was killed can be between a record and the line about it; all else cannot.
        if step not in told.entered or got != ["running"]:
            late[worker_of(step[0])] += 1
            if not program.killed or late[worker_of(step[0])] > 1:
                verdict.problems.append(f"invented: {step} of {program} has no line in the ledger: {got}")
    verdict.torn_off += sum(late.values())


def _compare_step(program: Program, told: Told, step: Step, got: list[str], verdict: Verdict) -> None:
    """Whether the records of a step are there, or may be missing."""
    made = [("running", told.entered[step])] if step in told.entered else []
    made += [told.ended[step]] if step in told.ended else []
    expected = [status for status, _ in made]
    if got[: len(expected)] == expected:
        return
    # What comes after a record that is sure is in the journal behind it.
    sure = [number for number, (_, mode) in enumerate(made, 1) if not program.killed or told.is_sure(step, mode)]
    least = max(sure, default=0)
    # Behind these, one may be there whose predecessor is lost: it was sent alone, to find out what the endpoint takes.
    others = iter(expected[least:])
    if got[:least] != expected[:least] or not all(status in others for status in got[least:]):
        verdict.problems.append(f"lost: {step} of {program} was recorded as {made}, got {got}")
    elif any(mode == ROLL for status, mode in made if status not in got):
        verdict.lost_rolling += 1
    else:
        verdict.lost_off += 1
