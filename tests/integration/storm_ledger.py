"""What the ledger of a program tells: of its steps, and of what its journal, its log and its counts were like."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.storm_faults import DESCRIPTORS, DISK, RETRY_SECONDS
from tests.integration.storm_program import REFUSED

Step = tuple[str, str]
"""A run id and a step key."""

ON: Final = "on"
"""Records went into the journal at that moment."""
OFF: Final = "off"
"""They did not, and may be lost with their process."""
ROLL: Final = "roll"
"""A signal handler was running steps while a segment was begun below it; lost if the process is killed right then."""

_OF_THE_DISK: Final = frozenset({DISK, DESCRIPTORS})
_REFUSALS: Final = frozenset({"rejected", "send_failed"})
_SAYS_OFF: Final = "wait_in_memory"
_SAYS_ON: Final = "is_written_again"
_FAULT: Final = "failed;_the_application_goes_on"
_SAYING_SECONDS: Final = 2.0
"""In which the log says what has happened to the journal; a program that is killed before need not have said it."""
_NOTICE_SECONDS: Final = 1.0
"""In which a program that waits for a processor notices that its journal has failed."""
_RETURN_SECONDS: Final = RETRY_SECONDS + 2.5
"""In which a journal is written again, once nothing is in its way any more."""


@dataclass(frozen=True)
class Program:
    """One run of the program: its name and its pid, whether it was killed, and its ledger."""

    name: str
    pid: int | None
    killed: bool
    ledger: Path


def program_of(run_id: str) -> str:
    """The name of the program whose run it is."""
    return run_id.partition(".")[0]


def worker_of(run_id: str) -> str:
    """The worker whose run it is, by the name of its program and its own."""
    return run_id.rpartition(".")[0]


@dataclass
class Told:
    """What a ledger tells; the times are those of a clock that does not jump."""

    entered: dict[Step, str] = field(default_factory=dict)
    """The steps whose function was entered, and how the journal was then."""
    ended: dict[Step, tuple[str, str]] = field(default_factory=dict)
    """The status of those that have ended, and how the journal was then."""
    open_roll: set[Step] = field(default_factory=set)
    """Steps of a signal handler, while a segment was begun of which it is not known that it has come to be."""
    turns: list[tuple[str, float]] = field(default_factory=list)
    """When the journal was seen to be off, and on again."""
    faults: list[tuple[float, float]] = field(default_factory=list)
    """From when until when something was in its way."""
    said: list[tuple[str, str]] = field(default_factory=list)
    """What the log has said, and on which level."""
    problems: list[str] = field(default_factory=list)
    last: float = 0.0
    """When the program was seen alive last."""

    def is_sure(self, step: Step, mode: str) -> bool:
        """Whether what was recorded then must not be lost with the process."""
        return mode == ON or (mode == ROLL and step not in self.open_roll)

    def stretches(self) -> Iterator[tuple[float, float | None]]:
        """From when until when the journal was off."""
        begin: float | None = None
        for mode, at in self.turns:
            if mode == OFF:
                begin = at
            elif begin is not None:
                yield begin, at
                begin = None
        if begin is not None:
            yield begin, None


def pid_in(ledger: Path) -> int | None:
    """The pid of the child whose ledger it is, if it has come so far."""
    return next((int(words[1]) for words in _lines(ledger) if words[0] == "pid"), None)


def read_ledger(program: Program) -> Told:
    """What the ledger of the program tells, and what is wrong by that alone."""
    told = Told()
    for words in _lines(program.ledger):
        _read(words, program, told)
    told.problems += _wrong_with_journal(told, killed=program.killed)
    return told


def _lines(ledger: Path) -> Iterator[list[str]]:
    # A program may be killed while it writes its last line.
    for line in ledger.read_text(encoding="utf-8").split("\n")[:-1] if ledger.exists() else []:
        yield line.split(" ")


def _read(words: list[str], program: Program, told: Told) -> None:
    match words:
        case ["entered", run_id, key, *state]:
            told.entered[run_id, key] = _mode(run_id, key, state, program, told)
        case ["ended", run_id, key, status, *state]:
            told.ended[run_id, key] = status, _mode(run_id, key, state, program, told)
        case ["counted", accepted, _, _, dropped]:
            told.problems += _wrong_counts(program, told, int(accepted), dropped)
        case [_] | ["pid", _]:
            pass
        case _:
            told.last = max(told.last, float(_read_moment(words, program, told)))


def _read_moment(words: list[str], program: Program, told: Told) -> str:
    """Reads a line about a moment, and returns when that was."""
    match words:
        case ["alive", at]:
            pass
        case ["journal", mode, at]:
            told.turns.append((mode, float(at)))
        case ["fault", name, "begins", at]:
            if name in _OF_THE_DISK:
                told.faults.append((float(at), math.inf))
        case ["fault", name, "ends", at]:
            if name in _OF_THE_DISK:
                told.faults[-1] = (told.faults[-1][0], float(at))
        case ["said", level, at, text]:
            told.said.append((level, text))
        case ["amiss", what, at]:
            told.problems.append(f"stats: {program.name} has {what}")
        case ["child", name, what, at]:
            told.problems.append(f"child: {name} is {what}")
        case _:
            msg = f"no line of a ledger: {words!r}"
            raise AssertionError(msg)
    return at


def _mode(run_id: str, key: str, state: list[str], program: Program, told: Told) -> str:
    mode = state[0] if state else ON
    if mode == ROLL:
        told.open_roll.add((run_id, key))
    elif mode == ON and worker_of(run_id) == f"{program.name}.main":
        told.open_roll.clear()  # what the handler had interrupted has gone on, and well
    if state:
        told.last = max(told.last, float(state[1]))
    return mode


def _wrong_counts(program: Program, told: Told, accepted: int, dropped: str) -> Iterator[str]:
    """What is wrong with the counts of a program that was doing nothing at that moment."""
    made = [*told.entered, *told.ended]
    if accepted != len(made):
        yield f"stats: {program.name} has accepted {accepted} records, and made {len(made)}"
    counts = {reason: int(count) for reason, _, count in (each.partition(":") for each in dropped.split(",")) if count}
    refused = sum(key.startswith(f"{REFUSED}-") for _, key in made)
    if counts.keys() - _REFUSALS or sum(counts.values()) > refused:
        yield f"stats: {program.name} has dropped {dropped}, and made {refused} records that are refused"


def _wrong_with_journal(told: Told, *, killed: bool) -> Iterator[str]:
    """What is wrong with when the journal was off, or with what the log has said of it."""
    off = list(told.stretches())
    for begin, end in off:
        if not any(since <= begin <= until + _NOTICE_SECONDS for since, until in told.faults):
            yield f"off: the journal, at {begin}, with nothing in its way"
        yield from _comes_late(told, begin, end)
    said = [OFF if _SAYS_OFF in text else ON for _, text in told.said if _SAYS_OFF in text or _SAYS_ON in text]
    yield from (f"log: it says twice that the journal is {mode}" for mode in _repeated(said))
    saying = _SAYING_SECONDS if killed else 0.0
    must = {
        OFF: sum(begin <= told.last - saying for begin, _ in off),
        ON: sum(end is not None and end <= told.last - saying for _, end in off),
    }
    for mode, times in must.items():
        if said.count(mode) < times:
            yield f"log: the journal was {mode} {times} times, it says so {said.count(mode)} times"
    yield from (f"log: {text}" for level, text in told.said if level not in {"WARNING", "INFO"} or _FAULT in text)


def _comes_late(told: Told, begin: float, end: float | None) -> Iterator[str]:
    until = told.last if end is None else end
    free = max([begin, *(over for since, over in told.faults if since < until)])
    if until > free + _RETURN_SECONDS:
        yield f"off: the journal, for {until - free:.1f} s after nothing was in its way any more"


def _repeated(said: list[str]) -> Iterator[str]:
    """It begins by saying that the journal is off, and then says each once in turn."""
    before = ON
    for mode in said:
        if mode == before:
            yield mode
        before = mode
