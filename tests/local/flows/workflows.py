"""Programs whose runs and whose graphs are known, for tests of the graph that is inferred from the runs alone."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import replace

from failpath_otel.local.flows.shape import SeenRun, Shape, shape_of
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.records.record import ProcessInfo
from tests.local.flows.summaries import attempt

EdgeOf = tuple[str, str, str]
"""Kind, source and target."""

_START: Final = 1_700_000_000_000_000


class Ends(NamedTuple):
    """The steps that a part begins and ends with, where it ran; none if it had no steps."""

    first: tuple[str, ...]
    last: tuple[str, ...]


class FailedError(Exception):
    """A step of a run failed for good; ``first`` are the steps that the part which failed began with."""

    def __init__(self, at: float, first: tuple[str, ...]) -> None:
        super().__init__()
        self.at = at
        self.first = first


@dataclass
class Run:
    """One run as it happens: its choices, its attempts, and the edges that a person would draw of it."""

    chance: random.Random
    parents: bool = True
    fails: float = 0.0
    skew: float = 0.0
    attempts: list[AttemptSummary] = field(default_factory=list)
    edges: set[EdgeOf] = field(default_factory=set)
    around: list[str] = field(default_factory=list)
    process: str = "main"
    offsets: dict[str, float] = field(default_factory=dict)
    spans: int = 0

    def span(self) -> str:
        """A new id."""
        self.spans += 1
        return f"{self.spans:016x}"

    def gap(self) -> float:
        """Between the end of a step and the start of the next."""
        return self.chance.uniform(20, 400)

    def record(
        self, key: str, span: str, start: float, end: float | None, *, ok: bool = True, newest: bool = True
    ) -> None:
        """Adds an attempt, with the time of the process that it is in."""
        offset = _START + self.offsets.setdefault(self.process, self.chance.uniform(-self.skew, self.skew))
        self.attempts.append(
            attempt(
                key,
                round(start + offset),
                None if end is None else round(end + offset),
                "running" if end is None else "success" if ok else "error",
                newest=newest,
                span=span,
                parent=self.around[-1] if self.around and self.parents else None,
                process=ProcessInfo(1, self.process),
            )
        )


class Part:
    """A part of a program."""

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        """Happens, and returns when it has ended."""
        raise NotImplementedError


@dataclass
class Step(Part):
    """A step that takes about so many microseconds, with parts inside it."""

    key: str
    takes: float = 20_000
    inside: Part | None = None
    retried: float = 0.0
    process: str | None = None
    never_ends: float = 0.0

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        ends = Ends((self.key,), (self.key,))
        before = run.process
        run.process = self.process or before
        while self.retried and run.chance.random() < self.retried:
            end = at + self._length(run)
            run.record(self.key, run.span(), at, end, ok=False, newest=False)
            at = end + run.chance.uniform(1_000, 20_000)
        span = run.span()
        length = self._length(run)
        fails = run.chance.random() < run.fails
        end = at + length
        error: FailedError | None = None
        if self.inside is not None:
            run.around.append(span)
            try:
                end, inner = self.inside.run(run, at + run.gap())
                end += run.gap()
                run.edges |= {("inside", self.key, key) for key in inner.first}
            except FailedError as failed:
                end, error = failed.at, failed
                failed.at += run.gap()
                run.edges |= {("inside", self.key, key) for key in failed.first}
            run.around.pop()
        run.record(self.key, span, at, end, ok=not fails and error is None)
        run.process = before
        if fails or error is not None:
            raise FailedError(end, ends.first)
        return end, ends

    def _length(self, run: Run) -> float:
        return max(1.0, run.chance.lognormvariate(0, 0.5) * self.takes)


class Many(Part):
    """A part of several."""

    def __init__(self, *parts: Part | str) -> None:
        self.parts = [Step(part) if isinstance(part, str) else part for part in parts]


def join(run: Run, one: Ends, other: Ends, kind: str = "next") -> None:
    """An edge from each end to each beginning."""
    run.edges |= {(kind, source, target) for source in one.last for target in other.first}


class Seq(Many):
    """One after the other."""

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        return one_by_one(run, at, self.parts)


def one_by_one(run: Run, at: float, parts: Sequence[Part]) -> tuple[float, Ends]:
    first: tuple[str, ...] = ()
    last = Ends((), ())
    for part in parts:
        try:
            at, ends = part.run(run, at + run.gap())
        except FailedError as failed:
            join(run, last, Ends(failed.first, ()))
            raise FailedError(failed.at, first or failed.first) from None
        if ends.first:
            join(run, last, ends)
            first = first or ends.first
            last = ends
    return at, Ends(first, last.last)


class AnyOrder(Many):
    """One after the other, in an order that varies."""

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        order = run.chance.sample(self.parts, len(self.parts))
        all_ends = Ends((), ())
        for part in order:
            at, ends = part.run(run, at + run.gap())
            all_ends = Ends(all_ends.first + ends.first, all_ends.last + ends.last)
        return at, all_ends


class Par(Many):
    """All at once; goes on when all have ended. At most ``workers`` at a time."""

    workers: int | None = None

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        free = [at] * (self.workers or len(self.parts))
        all_ends = Ends((), ())
        failed: FailedError | None = None
        for part in self.parts:
            free.sort()
            start = free[0] + run.chance.uniform(10, 300)
            try:
                end, ends = part.run(run, start)
            except FailedError as error:
                end, ends, failed = error.at, Ends(error.first, ()), error
            free[0] = end
            all_ends = Ends(all_ends.first + ends.first, all_ends.last + ends.last)
        end = max(free)
        if failed is not None:
            raise FailedError(end, all_ends.first)
        return end, all_ends


class Pool(Par):
    """The same with a few workers."""

    def __init__(self, workers: int, *parts: Part | str) -> None:
        super().__init__(*parts)
        self.workers = workers


class Maybe(Many):
    """Runs in some runs, in others not."""

    def __init__(self, probability: float, *parts: Part | str) -> None:
        super().__init__(*parts)
        self.probability = probability

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        if run.chance.random() >= self.probability:
            return at, Ends((), ())
        return one_by_one(run, at, self.parts)


class Choice(Many):
    """One of them."""

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        return run.chance.choice(self.parts).run(run, at)


class Loop(Many):
    """One after the other, again and again."""

    def __init__(self, again: float, *parts: Part | str) -> None:
        super().__init__(*parts)
        self.again = again

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        at, ends = one_by_one(run, at, self.parts)
        while run.chance.random() < self.again:
            before = ends
            at, ends = one_by_one(run, at + run.gap(), self.parts)
            join(run, before, ends, "back")
        return at, ends


class Interleaved(Many):
    """Lanes side by side in one thread: always one step of one lane at a time."""

    def run(self, run: Run, at: float) -> tuple[float, Ends]:
        lanes = [list(part.parts) for part in self.parts if isinstance(part, Seq)]
        all_ends = Ends((), ())
        last: list[Ends] = [Ends((), ()) for _ in lanes]
        while any(lanes):
            at_lane = run.chance.choice([place for place, lane in enumerate(lanes) if lane])
            at, ends = lanes[at_lane].pop(0).run(run, at + run.gap())
            join(run, last[at_lane], ends)
            if not last[at_lane].last:
                all_ends = Ends(all_ends.first + ends.first, ())
            last[at_lane] = ends
        return at, Ends(all_ends.first, tuple(key for ends in last for key in ends.last))


class Score(NamedTuple):
    """Edges by what they are; the same shape as it was drawn."""

    right: set[EdgeOf]
    missing: set[EdgeOf]
    wrong: set[EdgeOf]
    shape: Shape


def runs_of(program: Part, count: int, seed: int = 1, **how: float) -> Iterator[Run]:
    """Runs of a program, each with choices of its own."""
    for number in range(count):
        run = Run(random.Random(f"{seed} {number}"), **how)  # type: ignore[arg-type]
        with suppress(FailedError):
            program.run(run, 0)
        yield run


def score(program: Part, count: int, seed: int = 1, named: Callable[[str], str] = str, **how: float) -> Score:
    """Compares what is inferred of the runs of a program with what a person would draw of them.

    ``named`` is the node that a step is expected in.
    """
    runs = list(runs_of(program, count, seed, **how))
    shape = shape_of([SeenRun(_as_received(run.attempts)) for run in runs], None)
    expected = {(kind, named(source), named(target)) for run in runs for kind, source, target in run.edges}
    found = {(edge.kind, edge.source, edge.target) for edge in shape.edges}
    return Score(expected & found, expected - found, found - expected, shape)  # type: ignore[arg-type]


def _as_received(attempts: list[AttemptSummary]) -> list[AttemptSummary]:
    """By steps, in the order in which these began, as the view of a run has them."""
    first: dict[str, int] = {}
    for one in sorted(attempts, key=lambda each: each.started or 0):
        first.setdefault(one.step_key, len(first))
    ordered = sorted(attempts, key=lambda each: (first[each.step_key], each.started or 0))
    newest = {one.step_key: place for place, one in enumerate(ordered)}
    return [replace(one, newest=newest[one.step_key] == place) for place, one in enumerate(ordered)]


_KINDS: Final = ("row", "row", "beside", "inside", "maybe", "choice", "any order", "loop")
_DEEPEST: Final = 4


def random_program(chance: random.Random, size: int) -> Part:
    """A program of about so many steps: in a row, side by side, inside others, optional, in loops."""
    keys = iter(f"{first}{second}" for first in "abcdefghijklmnopqrstuvwxyz" for second in "abcdefghijklmnopqrstuvwxyz")

    def step(inside: Part | None = None) -> Step:
        return Step(
            next(keys),
            chance.uniform(10_000, 40_000),
            inside=inside,
            retried=0.2 if inside is None and chance.random() < 0.15 else 0.0,
        )

    def part(size: int, depth: int) -> Part:
        kind = "step" if size <= 1 or depth > _DEEPEST else chance.choice(_KINDS)
        if kind in {"step", "inside"}:
            return step(part(size - 1, depth + 1) if kind == "inside" else None)
        if kind == "maybe":
            return Maybe(chance.uniform(0.3, 0.8), part(size, depth + 1))
        if kind == "any order":
            return AnyOrder(*[step() for _ in range(min(size, chance.randint(2, 4)))])
        parts = [part(each, depth + 1) for each in _split(chance, size)]
        if kind == "loop":
            return Loop(chance.uniform(0.2, 0.5), step(), *parts, step())
        return {"beside": Par, "choice": Choice, "row": Seq}[kind](*parts)

    return Seq(step(), *[part(each, 1) for each in _split(chance, size)], step())


def _split(chance: random.Random, size: int) -> list[int]:
    parts = min(size, chance.randint(2, 4))
    cuts = sorted(chance.sample(range(1, size), parts - 1)) if size > 1 else []
    return [after - before for before, after in zip([0, *cuts], [*cuts, size], strict=True)]
