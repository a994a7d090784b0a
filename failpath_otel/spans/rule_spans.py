"""Spans of other tracers that are steps by a rule: when their start is reported, and to which run they belong."""

import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple

from opentelemetry.baggage import get_baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, get_current_span

from failpath_otel import limits, semconv
from failpath_otel.records.rules import Rules, StepRule, format_unmatched, run_id_in_attribute, usable_run_id
from failpath_otel.records.span_translation import StepStart, start_by_rule, stated_run_id
from failpath_otel.report import exception_once, warn_once
from failpath_otel.runtime.threads import RealThread, RLock, acquire, sleep
from failpath_otel.spans.dropped_spans import DroppedSpans, SpanKey, SpanReference, key_of

Begin = Callable[[Any, StepStart], object]
"""Reports the start of a step."""


class _AwaitingRunId(NamedTuple):
    span: ReadableSpan
    rule: StepRule
    due: float
    lock: Any  # reentrant: a signal handler or a garbage collection may end the span on the thread that holds it


class _OpenSpan:
    """An open step, or the open span of a run, with what the spans inside it need."""

    __slots__ = (
        "awaiting",
        "children",
        "enclosing",
        "flow_key",
        "is_step",
        "key",
        "request_rule",
        "run_id",
        "span_reference",
    )

    def __init__(self, key: SpanKey, flow_key: str, enclosing: "_OpenSpan | None") -> None:
        self.key: Final = key
        self.flow_key: Final = flow_key
        self.request_rule: StepRule | None = None  # that matched, if it is a request, a message or a call
        self.run_id: str | None = None  # None: not known yet; empty: the trace id
        self.enclosing = enclosing
        self.is_step = True  # else the span of a run
        self.children: Final[set[tuple[int, int]]] = set()  # ids of open spans inside that are no steps
        self.awaiting: _AwaitingRunId | None = None
        self.span_reference: SpanReference | None = None


@dataclass(eq=False)
class RuleMatchedSpans:
    """The open spans of one reporter that are steps by a rule.

    An instrumentation may set the attribute with the run id right after it has started the span, which calls no span
    processor. ``running`` is then reported a moment later: by a timer, when a step of the same flow starts inside,
    or at the end of the span.

    Args:
        begin: reports the start of a step.
        forgo_outcome: closes a step without an outcome.
        ignore: has the reporter ignore the end of a span.
        dropped: watches the open spans. The code that takes a reference from it calls :meth:`on_end`.
    """

    begin: Begin
    forgo_outcome: Callable[[SpanKey], None]
    ignore: Callable[[ReadableSpan], None]
    dropped: DroppedSpans

    def __post_init__(self) -> None:
        self.rules: Rules | None = None
        """The rules for spans that start from now on; ``None``: there are none."""
        self.warns_of_misses = False
        """Log a warning if no rule ever matches: the endpoint is a local one, where rules are tried out."""
        self._misses_due: float | None = None
        # Used without a lock: a garbage collection may call back into these from anywhere.
        self.open: dict[tuple[int, int], _OpenSpan] = {}
        """By the ids of a span: the step that it is, or the innermost one that it is in."""
        self.awaiting_run_id: set[_OpenSpan] = set()
        """Steps that have begun and were not reported yet."""
        self._timer: RealThread | None = None

    def reset_in_child(self) -> dict[tuple[int, int], SpanReference | None]:
        """Leave unreported steps to the parent process after a fork; return their spans."""
        awaiting = {
            open_span.key[:2]: open_span.span_reference
            for open_span in self.open.values()
            if open_span.awaiting is not None
        }
        for open_span in self.open.values():
            open_span.awaiting = None  # its lock may be held by a thread that does not exist in the child
        self.awaiting_run_id.clear()
        self._timer = None
        return awaiting

    def on_start(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Report the start of a step if ``span`` is one by a rule."""
        rules = self.rules
        rule = None if rules is None else rules.rule_for(span)
        if rule is None:
            if self.warns_of_misses:
                self._warn_when_due()
            scope = span.instrumentation_scope
            if scope is not None and scope.name == semconv.SCOPE_NAME:
                self._track_run_span(span)
            elif self.open:
                self._track_child(span)
            return
        if parent_context is None:
            parent_context = get_current()  # the current one
        enclosing = self._enclosing(span) or _tagged_parent(parent_context)
        is_internal = span.kind is SpanKind.INTERNAL
        if is_internal and enclosing is not None and enclosing.request_rule == rule:
            # A part of that request, as `POST /charge http send` of FastAPI's `POST /charge`, and not another attempt.
            self._track_child(span)
            self.ignore(span)
            return
        open_span = self._track(span, rule.flow, enclosing)
        open_span.request_rule = None if is_internal else rule
        run_id = run_id_in_attribute(rule, span) or _baggage_run_id(rule, parent_context)
        if rule.run_id is not None and not run_id:
            open_span.awaiting = _AwaitingRunId(span, rule, monotonic() + limits.LATE_RUN_ID, RLock())
            self.awaiting_run_id.add(open_span)
            self._start_timer()
            return
        open_span.run_id = run_id or self._enclosing_run_id(open_span)
        self._begin(open_span, span, rule)

    def on_tagged(self, span: ReadableSpan, flow_key: str, run_id: str, *, is_step: bool = True) -> None:
        """Track the span of a step or a run that carries its own names, for the spans inside it."""
        open_span = self._track(span, flow_key, self._enclosing(span))
        open_span.run_id, open_span.is_step = run_id, is_step

    def _begin(self, open_span: _OpenSpan, span: ReadableSpan, rule: StepRule) -> None:
        start = start_by_rule(span, rule, open_span.run_id or "")
        start.parent_span_id = self._parent_above(open_span.enclosing, start.flow_key, start.run_id)
        self.begin(span, start)

    def parent_of(self, span: ReadableSpan, flow_key: str, run_id: str) -> str | None:
        """Return the span id of the innermost step of the same run around ``span``, as hexadecimal digits."""
        return self._parent_above(self._enclosing(span), flow_key, run_id)

    @staticmethod
    def _parent_above(enclosing: _OpenSpan | None, flow_key: str, run_id: str) -> str | None:
        while enclosing is not None:
            # A step by a rule without a run id has its trace id in the place of one.
            is_same = enclosing.flow_key == flow_key and (enclosing.run_id or f"{enclosing.key[0]:032x}") == run_id
            if enclosing.is_step and is_same and enclosing.run_id is not None:
                return f"{enclosing.key[1]:016x}"
            enclosing = enclosing.enclosing
        return None

    def on_end(self, key: SpanKey) -> None:
        """Stop tracking a span that ends, and report the start of its step if that was not done."""
        ids = key[:2]
        open_span = self.open.get(ids)
        if open_span is None:
            return
        if open_span.key[:2] != ids:
            self.open.pop(ids, None)
            open_span.children.discard(ids)
            return
        if open_span.key != key:
            return  # the program has repeated ids
        self._report_start(open_span)
        self.open.pop(ids, None)
        open_span.enclosing = None  # else a chain of spans, each started inside the one before, would be kept for good
        for child in list(open_span.children):
            self.open.pop(child, None)

    def report_due(self, *, wait: bool = True) -> None:
        """Report the steps that have their run id by now, or have waited long enough; all of them if not ``wait``.

        Without ``wait``, at the end, also log a warning if there were requests or messages and no rule matched.
        """
        for open_span in list(self.awaiting_run_id):
            awaiting = open_span.awaiting
            try:
                # Wait while the attribute is missing: the instrumentation may be about to set it.
                if awaiting is not None and not (
                    wait and awaiting.due > monotonic() and not run_id_in_attribute(awaiting.rule, awaiting.span)
                ):
                    self._report_start(open_span)
            except Exception:  # noqa: BLE001 - the others have begun as well
                exception_once("reporting the start of a step")
        if not wait and self.warns_of_misses and self.rules is not None:
            _warn_of_misses(self.rules.unmatched_since_entry())

    def _warn_when_due(self) -> None:
        """Log a warning if no rule has matched for a while: a program may end by a signal, without a last flush."""
        now = monotonic()
        if self._misses_due is None:
            self._misses_due = now + limits.UNMATCHED_LOG_DELAY
        elif now >= self._misses_due and self.rules is not None:
            self._misses_due = now + limits.UNMATCHED_LOG_DELAY  # the spans so far may be of the start-up
            self.warns_of_misses = not self.rules.has_matched
            if _warn_of_misses(self.rules.unmatched_since_entry()):
                self.warns_of_misses = False

    def _track_run_span(self, span: ReadableSpan) -> None:
        """Track the span of a run."""
        attributes = span.attributes or {}
        flow_key = attributes.get(semconv.FLOW_KEY)
        if isinstance(flow_key, str):
            self.on_tagged(span, flow_key, stated_run_id(attributes), is_step=False)

    def _track_child(self, span: ReadableSpan) -> None:
        """Track in which step a span is that is no step."""
        enclosing = self._enclosing(span)
        if enclosing is not None:
            ids = key_of(span)[:2]
            self.open[ids] = enclosing
            enclosing.children.add(ids)

    def _track(self, span: ReadableSpan, flow_key: str, enclosing: _OpenSpan | None) -> _OpenSpan:
        key = key_of(span)
        open_span = _OpenSpan(key, flow_key, enclosing)
        self.open[key[:2]] = open_span
        open_span.span_reference = self.dropped.watch(span, key)
        return open_span

    def _enclosing(self, span: ReadableSpan) -> _OpenSpan | None:
        """Return the innermost open step or run around ``span``."""
        parent = span.parent
        return None if parent is None else self.open.get((parent.trace_id, parent.span_id))

    def _enclosing_run_id(self, open_span: _OpenSpan) -> str:
        """Return the run id of the innermost step of the same flow around a step; empty where there is none."""
        enclosing = open_span.enclosing
        while enclosing is not None and enclosing.flow_key != open_span.flow_key:
            enclosing = enclosing.enclosing
        if enclosing is None:
            return ""
        self._report_start(enclosing)
        return enclosing.run_id or ""

    def _report_start(self, open_span: _OpenSpan) -> None:
        """Report the start of a step, if that was not done, with the run id that it has by now."""
        awaiting = open_span.awaiting
        # The span may end while the timer does this, and then has to wait; but not for good, because a `redact` of the
        # application may wait for that thread.
        if awaiting is None or not acquire(awaiting.lock, _LOCK_TIMEOUT):
            return
        try:
            if open_span.run_id is None:
                try:
                    open_span.run_id = run_id_in_attribute(awaiting.rule, awaiting.span) or self._enclosing_run_id(
                        open_span
                    )
                    self._begin(open_span, awaiting.span, awaiting.rule)
                    if self.open.get(open_span.key[:2]) is not open_span:
                        self.forgo_outcome(open_span.key)  # its end came meanwhile, and was handled
                finally:
                    open_span.awaiting = None
                    self.awaiting_run_id.discard(open_span)
        finally:
            awaiting.lock.release()

    def _start_timer(self) -> None:
        if self._timer is None:
            timer = RealThread(self._on_timer, "failpath-run-ids")
            self._timer = timer
            try:
                contextvars.Context().run(timer.start)  # in an empty context, not in that of the span
            except RuntimeError:  # the interpreter ends, or no more threads can be started
                self._timer = None
                self.report_due()

    def _on_timer(self) -> None:
        sleep(limits.LATE_RUN_ID_POLL)
        self._timer = None
        self.report_due()
        if self.awaiting_run_id:
            self._start_timer()


_LOCK_TIMEOUT: Final = 1.0
"""Seconds for which the end of a span waits while its start is being reported."""


def _tagged_parent(parent_context: Context) -> _OpenSpan | None:
    """Return the parent, where it carries the names of its run and started before the rules were there."""
    parent = get_current_span(parent_context)
    attributes: Any = getattr(parent, "attributes", None)
    if not isinstance(attributes, Mapping) or semconv.FLOW_KEY not in attributes:
        return None
    context = parent.get_span_context()
    tagged = _OpenSpan((context.trace_id, context.span_id, 0), str(attributes[semconv.FLOW_KEY]), None)
    tagged.run_id = stated_run_id(attributes)
    return tagged


def _warn_of_misses(misses: list[tuple[str, str]]) -> bool:
    others = [(scope, name) for scope, name in misses if scope != semconv.SCOPE_NAME]
    if others:
        warn_once(
            "rules", "Failpath: no rule has matched a span of this process. There were: %s", format_unmatched(others)
        )
    return bool(others)


def _baggage_run_id(rule: StepRule, context: Context) -> str:
    names = (semconv.RUN_ID,) if rule.run_id is None else (rule.run_id, semconv.RUN_ID)
    return next((run_id for name in names if (run_id := usable_run_id(get_baggage(name, context)))), "")
