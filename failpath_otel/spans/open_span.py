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


@dataclass(frozen=True)
class Awaiting:
    """What an open span waits with.

    Args:
        span: the span.
        due: when it has waited long enough, of a monotonic clock.
        lock: reentrant, because a signal handler or a garbage collection may end the span on the thread that holds it.
    """

    span: ReadableSpan
    due: float
    lock: Any


class OpenSpan:
    """An open step, an open span of a run, or an open span that may become a step, with what those inside it need."""

    __slots__ = (
        "awaiting",
        "baggage",
        "candidate",
        "candidates",
        "children",
        "enclosing",
        "flow_key",
        "is_internal",
        "is_step",
        "key",
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
        self.children: Final[set[tuple[int, int]]] = set()  # ids of open spans inside that are no steps
        self.awaiting: Awaiting | None = None
        self.span_reference: SpanReference | None = None

    def owns(self, rule: StepRule) -> bool:
        """Return whether ``INTERNAL`` spans directly inside that match *rule* are parts of this step.

        They are if that rule made a step of a request, a message or a call, or may still do so.
        """
        if self.is_internal:
            return False
        if self.candidate is not None:
            return self.candidate.rule == rule
        return self.candidates is not None and self.candidates.has(rule)


def is_internal(span: ReadableSpan) -> bool:
    """Return whether a span is neither a request, nor a message, nor a call."""
    return span.kind is SpanKind.INTERNAL


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


def is_owned(enclosing: OpenSpan | None, rule: StepRule) -> bool:
    """Return whether an ``INTERNAL`` span is a part of the step around it, and not another attempt.

    As ``POST /charge http send`` of FastAPI's ``POST /charge``. Spans between of which it is not known yet whether they
    are steps do not hide it.
    """
    while enclosing is not None:
        if enclosing.owns(rule):
            return True
        if enclosing.candidate is not None or enclosing.flow_key is not None:
            return False
        enclosing = enclosing.enclosing
    return False


def baggage_run_id(rule: StepRule, entries: Mapping[str, object]) -> str:
    """Return the run id in the entries of baggage; empty if there is none."""
    names = (semconv.RUN_ID,) if rule.run_id is None else (rule.run_id, semconv.RUN_ID)
    return next((run_id for name in names if (run_id := usable_run_id(entries.get(name)))), "")
