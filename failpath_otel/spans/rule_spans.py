"""Spans of other tracers that are steps by a rule: when their start is reported, and to which run they belong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from opentelemetry.baggage import get_all
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel import limits, semconv
from failpath_otel.records.matching.values import attributes_to_match
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.span_translation import StepStart, start_by_rule, stated_run_id
from failpath_otel.report import exception_once
from failpath_otel.runtime.threads import RLock, acquire
from failpath_otel.spans.dropped_spans import DroppedSpans, SpanKey, SpanReference, key_of
from failpath_otel.spans.late_timer import LateTimer
from failpath_otel.spans.open_span import Awaiting, OpenSpan, baggage_run_id, is_internal, is_owned, tagged_parent
from failpath_otel.spans.rule_misses import RuleMisses

Begin = Callable[[Any, StepStart], object]
"""Reports the start of a step."""


@dataclass(eq=False)
class RuleMatchedSpans:
    """The open spans of one reporter that are steps by a rule.

    An instrumentation may set attributes that a rule asks for right after it has started the span, which calls no span
    processor. ``running`` is then reported a moment later: by a timer, when a step starts inside, or at the end of the
    span. A span that no rule applies to when the time is over is looked at once more at its end.

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
        self.misses = RuleMisses()
        """Logs a warning if no rule ever matches."""
        # Used without a lock: a garbage collection may call back into these from anywhere.
        self.open: dict[tuple[int, int], OpenSpan] = {}
        """By the ids of a span: the step that it is, or the innermost one that it is in."""
        self.awaiting: dict[OpenSpan, None] = {}
        """Spans that have begun, and whose start is not reported, because an attribute may come; in order."""
        self.timer = LateTimer(self.awaiting, self.report_due)
        """Looks at these again."""

    def reset_in_child(self) -> dict[tuple[int, int], SpanReference | None]:
        """Leave unreported steps to the parent process after a fork; return their spans."""
        unreported = {
            open_span.key[:2]: open_span.span_reference
            for ids, open_span in self.open.items()
            if ids == open_span.key[:2] and (open_span.awaiting is not None or open_span.candidates is not None)
        }
        for open_span in self.open.values():
            # The lock of the first may be held by a thread that does not exist in the child.
            open_span.awaiting = open_span.candidates = None
        self.awaiting.clear()
        self.timer.reset_in_child()
        return unreported

    def on_start(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Report the start of a step if ``span`` is one by a rule."""
        rules, scope = self.rules, span.instrumentation_scope
        found = None if rules is None else rules.candidates_for(span, scope)
        if rules is None or found is None:
            self._pass_over(span, scope)
            return
        chosen, is_open = found.only, False
        attributes: Mapping[str, Any] = {}
        if chosen is None or chosen.in_use.reads_attributes or chosen.rule.run_id is not None:
            attributes = attributes_to_match(span)
        if chosen is None:
            chosen, is_open = found.choose(span.kind, attributes)
            if is_open and (len(self.awaiting) >= limits.MAX_AWAITING_RULE or not found.is_worth_waiting(span.kind)):
                is_open = False
            if chosen is None and not is_open:
                self._pass_over(span, scope)
                return
        if parent_context is None:
            parent_context = get_current()  # the current one
        enclosing = self._enclosing(span) or tagged_parent(parent_context)
        if is_open:
            open_span = self._track(span, enclosing)
            open_span.candidates = found
        else:
            assert chosen is not None  # as above
            rules.has_matched = True
            if is_internal(span) and is_owned(enclosing, chosen.rule):
                self._track_child(span)
                self.ignore(span)
                return
            open_span = self._track(span, enclosing, chosen.in_use.fixed_flow)
            open_span.candidate = chosen
        open_span.is_internal = is_internal(span)
        open_span.baggage = get_all(parent_context)
        if is_open or not self._is_known(open_span, attributes):
            open_span.awaiting = Awaiting(span, monotonic() + limits.LATE_RUN_ID, RLock())
            self.awaiting[open_span] = None
            self.timer.start()
            return
        self._begin(open_span, span)

    def _pass_over(self, span: ReadableSpan, scope: Any) -> None:  # noqa: ANN401 - an instrumentation scope, or none
        """Track a span that is no step."""
        if self.misses.is_watching and self.rules is not None:
            self.misses.on_miss(self.rules)
        if scope is not None and scope.name == semconv.SCOPE_NAME:
            self._track_run_span(span)
        elif self.open:
            self._track_child(span)

    def _is_known(
        self, open_span: OpenSpan, attributes: Mapping[str, Any], *, is_due: bool = False, needs_run: str | None = None
    ) -> bool:
        """Note the names and the run of a step as far as they are known, and return whether they are.

        Args:
            open_span: the step.
            attributes: those of its span by now.
            is_due: no attribute is awaited any longer.
            needs_run: the run id is not awaited any longer if this is the flow.
        """
        chosen = open_span.candidate
        assert chosen is not None  # it is a step
        if open_span.names is None:
            open_span.names = chosen.names(attributes, may_wait=not is_due)
            if open_span.names is not None:
                open_span.flow_key = open_span.names.flow
        if open_span.run_id is None and open_span.flow_key is not None:
            is_due = is_due or needs_run == open_span.flow_key
            run_id = chosen.run_id(attributes, may_wait=not is_due) or baggage_run_id(chosen.rule, open_span.baggage)
            if run_id or is_due or chosen.rule.run_id is None:
                open_span.run_id = run_id or self._enclosing_run_id(open_span)
        return open_span.names is not None and open_span.run_id is not None

    def on_tagged(self, span: ReadableSpan, flow_key: str, run_id: str, *, is_step: bool = True) -> None:
        """Track the span of a step or a run that carries its own names, for the spans inside it."""
        open_span = self._track(span, self._enclosing(span), flow_key)
        open_span.run_id, open_span.is_step = run_id, is_step

    def _begin(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        assert open_span.names is not None  # as for the run id
        start = start_by_rule(span, open_span.names, open_span.run_id or "")
        start.parent_span_id = self._parent_above(open_span.enclosing, start.flow_key, start.run_id)
        self.begin(span, start)

    def parent_of(self, span: ReadableSpan, flow_key: str, run_id: str) -> str | None:
        """Return the span id of the innermost step of the same run around ``span``, as hexadecimal digits."""
        return self._parent_above(self._enclosing(span), flow_key, run_id)

    @staticmethod
    def _parent_above(enclosing: OpenSpan | None, flow_key: str, run_id: str) -> str | None:
        while enclosing is not None:
            # A step by a rule without a run id has its trace id in the place of one.
            is_same = enclosing.flow_key == flow_key and (enclosing.run_id or f"{enclosing.key[0]:032x}") == run_id
            if enclosing.is_step and is_same and enclosing.run_id is not None:
                return f"{enclosing.key[1]:016x}"
            enclosing = enclosing.enclosing
        return None

    def on_end(self, key: SpanKey, span: ReadableSpan | None = None) -> None:
        """Stop tracking a span that ends, and report the start of its step if that was not done.

        Args:
            key: that of the span.
            span: the span; ``None`` if it was dropped.
        """
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
        if open_span.awaiting is not None:
            self._settle(open_span, is_due=True, is_end=True)
        elif open_span.candidates is not None and span is not None:
            self._settle_at_end(open_span, span)
        self.open.pop(ids, None)
        if open_span.enclosing is not None:
            open_span.enclosing.children.discard(ids)  # if it has become a part of that
        open_span.enclosing = None  # else a chain of spans, each started inside the one before, would be kept for good
        for child in list(open_span.children):
            self.open.pop(child, None)

    def report_due(self, *, wait: bool = True) -> None:
        """Report the steps that have what they wait for, or have waited long enough; all of them if not ``wait``.

        Without ``wait``, at the end, also log a warning if there were requests or messages and no rule matched.
        """
        for open_span in list(self.awaiting):
            awaiting = open_span.awaiting
            try:
                if awaiting is not None:
                    self._settle(open_span, is_due=not wait or awaiting.due <= monotonic())
            except Exception:  # noqa: BLE001 - the others have begun as well
                exception_once("reporting the start of a step")
        if not wait and self.misses.is_watching and self.rules is not None:
            self.misses.report(self.rules)

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

    def _track(self, span: ReadableSpan, enclosing: OpenSpan | None, flow_key: str | None = None) -> OpenSpan:
        key = key_of(span)
        open_span = OpenSpan(key, enclosing, flow_key)
        self.open[key[:2]] = open_span
        open_span.span_reference = self.dropped.watch(span, key)
        return open_span

    def _enclosing(self, span: ReadableSpan) -> OpenSpan | None:
        """Return the innermost open step or run around ``span``."""
        parent = span.parent
        return None if parent is None else self.open.get((parent.trace_id, parent.span_id))

    def _enclosing_run_id(self, open_span: OpenSpan) -> str:
        """Return the run id of the innermost step of the same flow around a step; empty where there is none."""
        enclosing = open_span.enclosing
        while enclosing is not None:
            if enclosing.awaiting is not None:
                self._settle(enclosing, needs_run=open_span.flow_key)
            if enclosing.flow_key == open_span.flow_key:
                return enclosing.run_id or ""
            enclosing = enclosing.enclosing
        return ""

    def _settle(
        self, open_span: OpenSpan, *, is_due: bool = False, is_end: bool = False, needs_run: str | None = None
    ) -> None:
        """Report the start of a span that waits, if that was not done, and if it is known by now which step it is.

        Args:
            open_span: the span.
            is_due: it has waited long enough: what is known has to do.
            is_end: it ends.
            needs_run: a step of this flow inside needs the run id.
        """
        awaiting = open_span.awaiting
        # The span may end while the timer does this, and then has to wait; but not for good, because a `redact` of the
        # application may wait for that thread.
        if awaiting is None or not acquire(awaiting.lock, _LOCK_TIMEOUT):
            return
        try:
            if open_span.awaiting is None:
                if is_end and open_span.candidates is not None:
                    self._settle_at_end(open_span, awaiting.span)
                return
            is_over = True  # also where it fails
            try:
                attributes = attributes_to_match(awaiting.span)
                if open_span.candidates is not None:
                    is_over = self._decide(open_span, awaiting.span, attributes, is_due=is_due)
                if open_span.candidate is not None:
                    is_over = self._is_known(open_span, attributes, is_due=is_due, needs_run=needs_run)
                    if is_over:
                        self._begin_late(open_span, awaiting.span)
            finally:
                if is_over:
                    open_span.awaiting = None
                    self.awaiting.pop(open_span, None)
        finally:
            awaiting.lock.release()

    def _settle_at_end(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        """Report the start of a span that ends, if one of the rules that had been undecided applies to it now."""
        attributes = attributes_to_match(span)
        self._decide(open_span, span, attributes, is_due=True)
        if open_span.candidate is not None and self._is_known(open_span, attributes, is_due=True):
            self._begin_late(open_span, span)

    def _decide(self, open_span: OpenSpan, span: ReadableSpan, attributes: Mapping[str, Any], *, is_due: bool) -> bool:
        """Note which of its rules applies to a span, and return whether it need not wait for that any longer."""
        candidates, rules = open_span.candidates, self.rules
        assert candidates is not None  # they are undecided
        chosen, is_open = candidates.choose(span.kind, attributes)
        if is_open and not is_due:
            return False
        candidates.waited(span.kind, for_something=not is_open)
        if chosen is None:
            return True
        open_span.candidates = None
        if rules is not None:
            rules.has_matched = True
        if open_span.is_internal and is_owned(open_span.enclosing, chosen.rule):
            self._give_to(open_span)
            self.ignore(span)
            return True
        open_span.candidate, open_span.flow_key = chosen, chosen.in_use.fixed_flow
        return True

    def _give_to(self, part: OpenSpan) -> None:
        """Have a span be a part of the step around it, and no step."""
        enclosing, ids = part.enclosing, part.key[:2]
        if enclosing is not None and self.open.get(ids) is part:
            for child in [ids, *part.children]:
                self.open[child] = enclosing
                enclosing.children.add(child)

    def _begin_late(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        self._begin(open_span, span)
        if self.open.get(open_span.key[:2]) is not open_span:
            self.forgo_outcome(open_span.key)  # its end came meanwhile, and was handled


_LOCK_TIMEOUT: Final = 1.0
"""Seconds for which the end of a span waits while its start is being reported."""
