"""Spans of other tracers that are steps by a rule: when their start is reported, and to which run they belong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.baggage import get_all
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel import semconv
from failpath_otel.records.matching.values import attributes_to_match
from failpath_otel.records.rule_matches import Candidate
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.span_translation import StepStart, stated_run_id
from failpath_otel.runtime.threads import RLock
from failpath_otel.spans.dropped_spans import DroppedSpans, SpanKey, SpanReference, key_of
from failpath_otel.spans.open_span import OpenSpan, is_internal, parent_above, part_of, tagged_parent
from failpath_otel.spans.open_spans import OpenSpans
from failpath_otel.spans.rule_misses import RuleMisses
from failpath_otel.spans.waiting_spans import WaitingSpans
from failpath_otel.step_state import StepState

Begin = Callable[[Any, StepStart], StepState]
"""Reports the start of a step, once."""


@dataclass(eq=False)
class RuleMatchedSpans:
    """The open spans of one reporter that are steps by a rule.

    An instrumentation may set attributes that a rule asks for right after it has started the span, which calls no span
    processor. ``running`` is then reported a moment later: by a timer, when a step starts inside, or at the end of the
    span. A span that no rule applies to when the time is over is looked at once more at its end.

    Args:
        begin: reports the start of a step.
        end: reports the end of a step that has ended before its start was reported.
        forgo_outcome: closes a step without an outcome.
        ignore: has the reporter ignore the end of a span.
        dropped: watches the open spans. The code that takes a reference from it calls :meth:`on_end`.
    """

    begin: Begin
    end: Callable[[ReadableSpan], None]
    forgo_outcome: Callable[[SpanKey], None]
    ignore: Callable[[ReadableSpan], None]
    dropped: DroppedSpans

    def __post_init__(self) -> None:
        self.rules: Rules | None = None
        """The rules for spans that start from now on; ``None``: there are none."""
        self.misses = RuleMisses()
        """Logs a warning if no rule ever matches."""
        self._spans = OpenSpans(self.dropped)
        self.open = self._spans.by_ids
        """By the ids of a span: the step that it is, or the innermost one that it is in."""
        self._waiting = WaitingSpans(
            self._spans, self.begin, self.end, self.forgo_outcome, self.ignore, self._note_match
        )
        self.awaiting = self._waiting.awaiting
        """Spans that have begun, and whose start is not reported, because an attribute may come; in order."""
        self.timer = self._waiting.timer
        """Looks at these again."""

    def reset_in_child(self) -> dict[tuple[int, int], SpanReference | None]:
        """Leave unreported steps to the parent process after a fork; return their spans."""
        unreported = {
            open_span.key[:2]: open_span.span_reference
            for ids, open_span in self.open.items()
            if ids == open_span.key[:2] and (open_span.awaiting is not None or open_span.candidates is not None)
        }
        self._waiting.reset_in_child()
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
            if chosen is None and not is_open:
                self._pass_over(span, scope)
                return
        if chosen is not None:
            rules.has_matched = True
        waits = is_open and self._waiting.has_room and found.is_worth_waiting(span.kind)
        open_span = self._track(span, parent_context, None if waits else chosen, is_open=is_open, waits=waits)
        if open_span is None:
            return
        if open_span.candidate is None:
            open_span.candidates, open_span.lock = found, RLock()
        else:
            waits = open_span.may_be_part or not self._waiting.is_known(open_span, attributes)
        if waits:
            self._waiting.add(open_span, span)
        elif open_span.candidate is not None:
            self._waiting.start(open_span, span)

    def _track(
        self,
        span: ReadableSpan,
        parent_context: Context | None,
        chosen: Candidate | None,
        *,
        is_open: bool,
        waits: bool,
    ) -> OpenSpan | None:
        """Track a span, unless it is a part of the step around it, or nothing about it has to be known at its end.

        Args:
            span: the span.
            parent_context: the context in which it starts; ``None``: the current one.
            chosen: the rule that it is a step by; ``None`` if that is not known yet.
            is_open: an attribute that comes later could make it another one.
            waits: such an attribute is waited for.
        """
        if parent_context is None:
            parent_context = get_current()
        enclosing = self._spans.enclosing(span) or tagged_parent(parent_context)
        internal = is_internal(span)
        # Where attributes never come, no span waits for them, and all are looked at once more at their end.
        may_be_part: bool | None = False
        if internal and chosen is not None:
            self._waiting.look_around(enclosing)
            may_be_part = part_of(enclosing, chosen.rule)
        if may_be_part:
            if not is_open:
                self._spans.track_child(span)
                self.ignore(span)
                return None
            chosen = None
        entries = get_all(parent_context)
        if chosen is None and internal and not waits and enclosing is None and not entries:
            return None
        if self.awaiting:
            before = self.open.get(key_of(span)[:2])
            if before is not None and before.awaiting is not None:
                self._waiting.settle(before, is_due=True)  # the program has repeated ids: its end will not find it
        open_span = self._spans.track(span, enclosing, None if chosen is None else chosen.in_use.fixed_flow)
        open_span.is_internal, open_span.baggage = internal, entries
        open_span.candidate = chosen
        open_span.may_be_part = may_be_part is None and self._waiting.has_room
        return open_span

    def _note_match(self) -> None:
        if self.rules is not None:
            self.rules.has_matched = True

    def _pass_over(self, span: ReadableSpan, scope: Any) -> None:  # noqa: ANN401 - an instrumentation scope, or none
        """Track a span that is no step."""
        if self.misses.is_watching and self.rules is not None:
            self.misses.on_miss(self.rules)
        if scope is not None and scope.name == semconv.SCOPE_NAME:
            self._track_run_span(span)
        elif self.open:
            self._spans.track_child(span)

    def on_tagged(self, span: ReadableSpan, flow_key: str, run_id: str, *, is_step: bool = True) -> None:
        """Track the span of a step or a run that carries its own names, for the spans inside it."""
        open_span = self._spans.track(span, self._spans.enclosing(span), flow_key)
        open_span.run_id, open_span.is_step = run_id, is_step

    def _track_run_span(self, span: ReadableSpan) -> None:
        """Track the span of a run."""
        attributes = span.attributes or {}
        flow_key = attributes.get(semconv.FLOW_KEY)
        if isinstance(flow_key, str):
            self.on_tagged(span, flow_key, stated_run_id(attributes), is_step=False)

    def parent_of(self, span: ReadableSpan, flow_key: str, run_id: str) -> str | None:
        """Return the span id of the innermost step of the same run around ``span``, as hexadecimal digits."""
        return parent_above(self._spans.enclosing(span), flow_key, run_id)

    def on_end(self, key: SpanKey, span: ReadableSpan | None = None) -> bool:
        """Stop tracking a span that ends, and report the start of its step if that was not done.

        Args:
            key: that of the span.
            span: the span; ``None`` if it was dropped.

        Returns:
            Whether this reports its end later, by the function given for that.
        """
        ids = key[:2]
        open_span = self.open.get(ids)
        if open_span is None:
            return False
        if open_span.key[:2] != ids:
            self._spans.end_of_child(ids, open_span)
            return False
        if open_span.key != key:
            return False  # the program has repeated ids
        is_later = False
        if span is not None:
            if open_span.is_internal and (open_span.may_be_part or open_span.candidates is not None):
                self._waiting.look_around(open_span.enclosing)
            is_later = self._waiting.settle_at_end(open_span, span)
        elif open_span.awaiting is not None:
            self._waiting.settle(open_span, is_due=True)
        self._spans.end(open_span, is_needed=bool(self.awaiting))
        return is_later

    def report_due(self, *, wait: bool = True) -> None:
        """Report the steps that have what they wait for, or have waited long enough; all of them if not ``wait``.

        Without ``wait``, at the end, also log a warning if there were requests or messages and no rule matched.
        """
        self._waiting.report_due(wait=wait)
        if not wait and self.misses.is_watching and self.rules is not None:
            self.misses.report(self.rules)
