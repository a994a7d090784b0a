"""Signal handlers and garbage collections in the middle of spans that wait: no step is lost, invented or doubled."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, set_span_in_context

from failpath_otel import StepRule
from failpath_otel.spans.late_timer import LateTimer
from tests.opcodes import trace_opcodes
from tests.properties.tape import TIMES, Tape

JOB: Final = "job.name"
RULES: Final = [StepRule("jobs", "{attr:job.name}", span_name="*", where={JOB: "*"})]
OURS: Final = str(Path("failpath_otel", "spans"))
CHANCES: Final = max(1, round(24 * TIMES))
BOTH: Final = ["running", "success"]


class Limit(Exception):  # noqa: N818 - as Celery's SoftTimeLimitExceeded
    """What a signal handler raises."""


class Program:
    """Work in a request whose attribute comes late or never, and what comes at one of the instructions in between.

    Args:
        becomes: the name of the job that the request is in the end.
        at: the instruction.
        handle: what comes there.
    """

    def __init__(self, becomes: str | None, at: int, handle: Callable[["Program"], None]) -> None:
        self.at, self.handle = at, handle
        self.was_interrupted: set[str] = set()
        self.now = ""
        self.hit = False
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.tape = Tape(provider=self.provider, rules=RULES)
        self.reporter = self.tape._join.reporter
        self.tracer = self.provider.get_tracer("app")
        self.spans: dict[str, Any] = {}
        self.ids: dict[str, str] = {}
        self.start("request", None, kind=SpanKind.SERVER)
        self.start("early", "request")
        self.end("early")
        self.start("outer", "request")
        self.start("inner", "outer")
        self.look()
        self.end("inner")
        if becomes and "request" in self.spans:
            self.spans["request"].set_attribute(JOB, becomes)
        self.start("late", "request")
        self.end("outer")
        self.end("request")
        self.end("late")

    def look(self) -> None:
        self._do("look", self.reporter._rule_spans.report_due)

    def start(self, name: str, inside: str | None, **more: Any) -> None:
        if inside is not None and inside not in self.spans:
            return  # its start was interrupted
        context = None if inside is None else set_span_in_context(self.spans[inside])
        attributes = {} if inside is None else {JOB: name}

        def start() -> None:
            self.spans[name] = self.tracer.start_span(name, context, attributes=attributes, **more)

        self._do(name, start)
        if name in self.spans:
            self.ids[f"{self.spans[name].get_span_context().span_id:016x}"] = name

    def end(self, name: str) -> None:
        if name in self.spans:
            self._do(name, self.spans[name].end)

    def _do(self, name: str, act: Callable[[], object]) -> None:
        self.now = name
        before = sys.gettrace()
        trace_opcodes(self._trace)
        try:
            act()
        except Limit:
            pass
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if OURS not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.hit:
            self.at -= 1
            if self.at < 0:
                self.hit = True
                self._signal(14, sys._getframe())
        return self._trace

    def _signal(self, number: int, frame: FrameType) -> None:  # called as handlers are
        self.handle(self)

    def reported(self) -> dict[str, list[str]]:
        """The statuses of each step, once all is over and everything is dropped."""
        self.reporter._report_overdue(wait=False)
        self.spans.clear()
        gc.collect()
        self.reporter._report_overdue(wait=False)
        rules = self.reporter._rule_spans
        going_on = [state for state in self.reporter._open.values() if not state.outcome_reported]
        assert (rules.open, rules.awaiting, self.reporter._ignored, going_on) == ({}, {}, {}, [])
        assert self.tape.stats().accepted == len(self.tape.kept)
        found: dict[str, list[str]] = {}
        for record in self.tape.records():
            found.setdefault(self.ids.get(record.span_id, "no span"), []).append(record.status)
        return found


@pytest.fixture(autouse=True)
def _no_timer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(LateTimer, "start", lambda _: None)
    gc.disable()
    yield
    gc.enable()


def places(becomes: str | None, handle: Callable[[Program], None]) -> Iterator[tuple[int, Program]]:
    """Programs with what comes at instructions that are drawn by chance, or at each of them if there are enough."""
    whole = Program(becomes, sys.maxsize, handle)
    count = sys.maxsize - whole.at
    chance = Random(0)
    for at in range(count) if count <= CHANCES else sorted(chance.sample(range(count), CHANCES)):
        yield at, Program(becomes, at, handle)


def expected(becomes: str | None) -> dict[str, list[str]]:
    return {"request": BOTH} if becomes else dict.fromkeys(("early", "outer", "inner", "late"), BOTH)


@pytest.mark.parametrize("becomes", [None, "order"])
def test_nothing_is_lost_or_doubled_where_nothing_comes(becomes: str | None) -> None:
    assert Program(becomes, sys.maxsize, lambda _: None).reported() == expected(becomes)


@pytest.mark.parametrize("becomes", [None, "order"])
def test_a_signal_handler_that_raises_costs_no_more_than_the_step_whose_call_it_interrupts(
    becomes: str | None,
) -> None:
    def handle(program: Program) -> None:
        program.was_interrupted.add(program.now)
        raise Limit

    for at, program in places(becomes, handle):
        found = program.reported()
        [interrupted] = program.was_interrupted
        whole = expected(becomes)
        if interrupted == "request":  # then the others may be parts or not
            found.pop("request", None)
            whole = {name: statuses for name, statuses in expected(None).items() if name in found}
        whole = {name: statuses for name, statuses in whole.items() if name in program.ids.values()}
        found.pop(interrupted, None)
        found.pop("no span", None)
        whole.pop(interrupted, None)
        assert found == whole, (at, interrupted)


@pytest.mark.parametrize("becomes", [None, "order"])
@pytest.mark.parametrize("name", ["outer", "inner", "late"])
def test_a_signal_handler_that_ends_a_span_anywhere_costs_nothing(becomes: str | None, name: str) -> None:
    def handle(program: Program) -> None:
        if name in program.spans:
            program.was_interrupted.add(program.now)
            program.spans[name].end()

    for at, program in places(becomes, handle):
        found, whole = program.reported(), expected(becomes)
        if becomes and name == "outer" and program.was_interrupted == {"inner"}:
            found.pop("inner", None)  # begun after the end of what is around it, as far as we can see
        assert found == whole, at


@pytest.mark.parametrize("becomes", [None, "order"])
def test_a_signal_handler_that_looks_at_all_that_wait_costs_nothing(becomes: str | None) -> None:
    for at, program in places(becomes, lambda program: program.reporter._rule_spans.report_due()):
        assert program.reported() == expected(becomes), at


def test_a_signal_handler_that_shuts_down_anywhere_leaves_no_step_out() -> None:
    for at, program in places(None, lambda program: program.reporter._rule_spans.report_due(wait=False)):
        assert program.reported() == expected(None), at
