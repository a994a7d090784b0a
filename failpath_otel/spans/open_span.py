"""An open span of another tracer that is a step by a rule, or may become one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, get_current_span

from failpath_otel import semconv
from failpath_otel.records.matching.keys import Names
from failpath_otel.records.matching.values import usable_run_id
from failpath_otel.records.rule_matches import Candidate, Candidates
from failpath_otel.records.rules import StepRule
from failpath_otel.records.span_translation import stated_run_id
from failpath_otel.spans.dropped_spans import SpanKey, SpanReference
from failpath_otel.step_state import StepState


@dataclass(frozen=True)
class Awaiting:
    """What an open span waits with.

    Args:
        span: the span.
        due: when it has waited long enough, of a monotonic clock.
    """

    span: Any
    due: float


class OpenSpan:
    """An open step, an open span of a run, or an open span that may become a step, with what those inside it need."""

    __slots__ = (
        "awaiting",
        "baggage",
        "beginning_on",
        "begun",
        "candidate",
        "candidates",
        "children",
        "enclosing",
        "ended",
        "flow_key",
        "has_ended",
        "is_internal",
        "is_step",
        "key",
        "lock",
        "may_be_part",
        "names",
        "run_id",
        "span_reference",
    )

    def __init__(self, key: SpanKey, enclosing: "OpenSpan | None", flow_key: str | None = None) -> None:
        self.key: Final = key
        self.flow_key = flow_key  # None: not known yet
        self.is_internal = False
        self.candidate: Candidate | None = None  # of a step by a rule
        self.candidates: Candidates | None = None  # while it is not known which of them it is, if any
        self.names: Names | None = None
        self.baggage: Mapping[str, object] = {}
        self.run_id: str | None = None  # None: not known yet; empty: the trace id
        self.enclosing = enclosing
        self.is_step = True  # else the span of a run
        self.may_be_part = False  # of a request around it, of which it is not known yet which step it is
        self.has_ended = False
        self.ended: ReadableSpan | None = None  # the span, where it has ended before that was known
        self.beginning_on: int | None = None  # the thread that reports its start, if that was late
        self.begun: StepState | None = None  # the step, if its start was reported late
        self.children: Final[set[tuple[int, int]]] = set()  # ids of open spans inside that are no steps
        self.awaiting: Awaiting | None = None
        # Of one that is not known from the start. Reentrant, because a signal handler or a garbage collection may end
        # the span on the thread that holds it.
        self.lock: Any = None
        self.span_reference: SpanReference | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether the timer looks at it; another thread or a signal handler may change that."""
        return self.awaiting is not None

    @property
    def is_by_rule(self) -> bool:
        """Whether it is a step by a rule, as far as is known; the same may change that."""
        return self.candidate is not None

    @property
    def is_undecided(self) -> bool:
        """Whether it is waited for which step this is, if any."""
        return self.awaiting is not None and (self.candidates is not None or self.may_be_part)

    @property
    def is_known(self) -> bool:
        """Whether it is known which step this is, and of which run."""
        is_decided = self.candidates is None and not self.may_be_part
        return is_decided and self.names is not None and self.run_id is not None

    def ended_around(self) -> int:
        """Return how many of this and the spans around it have ended."""
        count, around = 0, self
        while True:
            count += around.has_ended
            if around.enclosing is None:
                return count
            around = around.enclosing

    def may_own(self, rule: StepRule) -> bool:
        """Return whether ``INTERNAL`` spans directly inside may become parts of this step by *rule*."""
        if self.may_be_part:
            return True  # of what is around it, as they are then
        return not self.is_internal and self.candidates is not None and self.candidates.has(rule)

    def owns(self, rule: StepRule) -> bool:
        """Return whether ``INTERNAL`` spans directly inside that match *rule* are parts of this step.

        They are if that rule made a step of a request, a message or a call.
        """
        return not self.is_internal and self.candidate is not None and self.candidate.rule == rule


def is_internal(span: ReadableSpan) -> bool:
    """Return whether a span is neither a request, nor a message, nor a call."""
    return span.kind is SpanKind.INTERNAL


def part_of(enclosing: OpenSpan | None, rule: StepRule) -> bool | None:
    """Return whether an ``INTERNAL`` span is a part of the step around it, and not another attempt.

    As ``POST /charge http send`` of FastAPI's ``POST /charge``.

    Args:
        enclosing: where to begin, outwards.
        rule: the rule that applies to the span.

    Returns:
        ``None`` where that depends on what a span around it becomes.
    """
    may_hide = False
    while enclosing is not None:
        if enclosing.is_undecided:
            if enclosing.may_own(rule):
                return None
            may_hide = True
        elif enclosing.owns(rule):
            return None if may_hide else True
        elif enclosing.candidate is not None or enclosing.flow_key is not None:
            break
        enclosing = enclosing.enclosing
    return False


def tagged_parent(parent_context: Context) -> OpenSpan | None:
    """Return the parent, where it carries the names of its run and started before the rules were there."""
    parent = get_current_span(parent_context)
    attributes: Any = getattr(parent, "attributes", None)
    if not isinstance(attributes, Mapping) or semconv.FLOW_KEY not in attributes:
        return None
    context = parent.get_span_context()
    tagged = OpenSpan((context.trace_id, context.span_id, 0), None, str(attributes[semconv.FLOW_KEY]))
    tagged.run_id = stated_run_id(attributes)
    return tagged


def baggage_run_id(rule: StepRule, entries: Mapping[str, object]) -> str:
    """Return the run id in the entries of baggage; empty if there is none."""
    names = (semconv.RUN_ID,) if rule.run_id is None else (rule.run_id, semconv.RUN_ID)
    return next((run_id for name in names if (run_id := usable_run_id(entries.get(name)))), "")


def parent_above(enclosing: OpenSpan | None, flow_key: str, run_id: str) -> str | None:
    """Return the span id of the innermost step of a run, as hexadecimal digits; ``None`` where there is none.

    Args:
        enclosing: where to begin, outwards.
        flow_key: of the run.
        run_id: of the run.
    """
    while enclosing is not None:
        # A step by a rule without a run id has its trace id in the place of one.
        is_same = enclosing.flow_key == flow_key and (enclosing.run_id or f"{enclosing.key[0]:032x}") == run_id
        if enclosing.is_step and is_same and enclosing.run_id is not None and not enclosing.may_be_part:
            return f"{enclosing.key[1]:016x}"
        enclosing = enclosing.enclosing
    return None
