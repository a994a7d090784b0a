"""Spans that have begun and whose start is not reported, because it is not known yet which step they are, or whose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel import limits
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.records.matching.values import attributes_to_match
from failpath_otel.records.span_translation import StepStart, start_by_rule
from failpath_otel.report import exception_once
from failpath_otel.runtime.threads import RLock, acquire, get_ident
from failpath_otel.spans.late_timer import LateTimer
from failpath_otel.spans.open_span import Awaiting, OpenSpan, baggage_run_id, parent_above, part_of
from failpath_otel.spans.open_spans import OpenSpans
from failpath_otel.step_state import StepState


@dataclass(eq=False)
class WaitingSpans:
    """The open spans of one reporter whose step or run may become known by an attribute that comes late.

    They are looked at by a timer, when a step starts inside, and at their end. A span that no rule applies to when the
    time is over is looked at once more at its end.

    An ``INTERNAL`` span inside of a request waits for what the request becomes: a part of that step, if it is one by
    the same rule, and else a step of its own. Where it has ended by then, both its records are reported together.

    Args:
        spans: all open spans.
        begin: reports the start of a step.
        end: reports the end of one that has ended before its start was reported.
        forgo_outcome: closes a step without an outcome.
        ignore: has the reporter ignore the end of a span.
        on_match: takes notice that a rule applies to a span.
    """

    spans: OpenSpans
    begin: Callable[[Any, StepStart], StepState]
    end: Callable[[ReadableSpan], None]
    forgo_outcome: Callable[[Any], None]
    ignore: Callable[[ReadableSpan], None]
    on_match: Callable[[], None]

    def __post_init__(self) -> None:
        # Used without a lock: a garbage collection may call back into it from anywhere.
        self.awaiting: dict[OpenSpan, None] = {}
        """Those that a timer looks at, in the order in which they began."""
        self.timer = LateTimer(self.awaiting, self.report_due)

    @property
    def has_room(self) -> bool:
        """Whether one more may wait for the timer."""
        return len(self.awaiting) < limits.MAX_AWAITING_RULE

    def reset_in_child(self) -> None:
        """Leave all to the parent process after a fork."""
        # Those that have ended are only among those that wait, which a call that a fork interrupted goes through.
        for open_span in (*self.spans.by_ids.values(), *self.awaiting):
            # The lock of the first may be held by a thread that does not exist in the child.
            open_span.awaiting = open_span.candidates = None
            open_span.may_be_part = False
        self.awaiting.clear()
        self.timer.reset_in_child()

    def add(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        """Have the timer look at a span until its start is reported, or the time is over."""
        open_span.lock = open_span.lock or RLock()
        awaiting = Awaiting(span, monotonic() + limits.LATE_RUN_ID)
        self.awaiting[open_span] = None  # first: a signal handler may raise, and the span would be kept for good
        open_span.awaiting = awaiting
        self.awaiting[open_span] = None  # the timer may have come in between
        self.timer.start()

    def report_due(self, *, wait: bool = True) -> None:
        """Report the steps that have what they wait for, or have waited long enough; all of them if not ``wait``."""
        for open_span in list(self.awaiting):
            awaiting = open_span.awaiting
            try:
                if awaiting is None:
                    self.awaiting.pop(open_span, None)  # a signal handler has raised before
                else:
                    self.settle(open_span, is_due=not wait or awaiting.due <= monotonic())
            except Exception:  # noqa: BLE001 - the others have begun as well
                exception_once("reporting the start of a step")

    def is_known(
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
        if chosen is None:
            return False  # a signal handler has looked at it, and it is a part
        if open_span.names is None:
            open_span.names = chosen.names(attributes, may_wait=not is_due)
            if open_span.names is not None:
                open_span.flow_key = open_span.names.flow
        if open_span.run_id is None and open_span.flow_key is not None:
            is_due = is_due or needs_run == open_span.flow_key
            run_id = chosen.run_id(attributes, may_wait=not is_due) or baggage_run_id(chosen.rule, open_span.baggage)
            # That of the steps around a span that may be a part is known when that is.
            if run_id or is_due or (chosen.rule.run_id is None and not open_span.may_be_part):
                open_span.run_id = run_id or self._enclosing_run_id(open_span)
        return open_span.names is not None and open_span.run_id is not None

    def _enclosing_run_id(self, open_span: OpenSpan) -> str:
        """Return the run id of the innermost step of the same flow around a step; empty where there is none."""
        flow_key = open_span.flow_key
        around: list[OpenSpan] = []
        enclosing = open_span.enclosing
        while enclosing is not None and (enclosing.flow_key != flow_key or enclosing.run_id is None):
            around.append(enclosing)
            enclosing = enclosing.enclosing
        for each in reversed(around):  # the outermost first, as above: without recursion
            self._look_again(each, needs_run=flow_key)
        enclosing = open_span.enclosing
        while enclosing is not None:
            if enclosing.flow_key == flow_key and not (enclosing.may_be_part and enclosing.run_id is None):
                return enclosing.run_id or ""
            enclosing = enclosing.enclosing
        return ""

    def look_around(self, enclosing: OpenSpan | None) -> None:
        """Look again at the spans around one that may be a part, the outermost first: each once, without recursion."""
        around: list[OpenSpan] = []
        while enclosing is not None:
            if enclosing.candidates is not None or enclosing.may_be_part:
                around.append(enclosing)
            elif enclosing.candidate is not None or enclosing.flow_key is not None:
                break
            enclosing = enclosing.enclosing
        for each in reversed(around):
            chosen = each.candidate
            if chosen is None or part_of(each.enclosing, chosen.rule) is not None:
                self._look_again(each)

    def start(self, open_span: OpenSpan, span: ReadableSpan) -> StepState:
        """Report the start of a step whose names and run are known."""
        assert open_span.names is not None  # as for the run id
        start = start_by_rule(span, open_span.names, open_span.run_id or "")
        start.parent_span_id = parent_above(open_span.enclosing, start.flow_key, start.run_id)
        return self.begin(span, start)

    def _look_again(self, open_span: OpenSpan, needs_run: str | None = None) -> None:
        """Look at a span whose step or run was not known, because a step starts inside."""
        if open_span.is_known:
            return  # it is being reported, by another thread: `redact` of the application may take long
        if open_span.awaiting is not None:
            self.settle(open_span, needs_run=needs_run)
        elif open_span.candidates is not None and open_span.span_reference is not None:
            span: Any = open_span.span_reference()
            if span is not None:
                self._settle_late(open_span, span)

    def settle(
        self,
        open_span: OpenSpan,
        *,
        is_due: bool = False,
        ended: ReadableSpan | None = None,
        needs_run: str | None = None,
    ) -> bool:
        """Report the start of a span that waits, if that was not done, and if it is known by now which step it is.

        Args:
            open_span: the span.
            is_due: it has waited long enough: what is known has to do.
            ended: the span, if it ends.
            needs_run: a step of this flow inside needs the run id.

        Returns:
            Whether the end is reported later, behind the start.
        """
        # The span may end while the timer does this, and then has to wait; but not for good, because a `redact` of the
        # application may wait for that thread.
        if not open_span.is_awaited or not acquire(open_span.lock, _LOCK_TIMEOUT):
            return False
        try:
            awaiting = open_span.awaiting
            if open_span.beginning_on == get_ident():
                # A signal handler, another greenlet or `redact` comes while the start is being reported.
                open_span.ended = open_span.ended or ended
                return ended is not None
            if awaiting is None:
                if ended is not None:
                    self._settle_unawaited(open_span, ended)
                return False
            if open_span.begun is not None and ended is not None:
                return False  # it has begun on this thread
            is_end = ended is not None
            try:
                is_over = self._settle(open_span, awaiting.span, is_due=is_due, is_end=is_end, needs_run=needs_run)
            except BaseException as error:
                if not is_from_handler(error):  # that has nothing to do with the span, which goes on to wait
                    self._give_up(open_span)
                raise
            finally:
                open_span.beginning_on = None
            if is_over:
                self._stop_waiting(open_span)
            elif ended is not None:
                open_span.ended = ended
                # A signal handler may have looked at it, before or after it could see that.
                return open_span.is_awaited or open_span.has_ended
            return False
        finally:
            open_span.lock.release()

    def _give_up(self, open_span: OpenSpan) -> None:
        self._stop_waiting(open_span)
        if open_span.ended is not None:
            self.end(open_span.ended)

    def _stop_waiting(self, open_span: OpenSpan) -> None:
        open_span.has_ended = open_span.has_ended or open_span.ended is not None
        open_span.awaiting = None
        self.awaiting.pop(open_span, None)

    def _settle(
        self, open_span: OpenSpan, span: ReadableSpan, *, is_due: bool, is_end: bool, needs_run: str | None
    ) -> bool:
        """Return whether it need not wait any longer."""
        is_last = is_due or is_end or open_span.ended is not None
        attributes = attributes_to_match(span)
        if open_span.candidates is not None and not self._decide(open_span, span, attributes, is_due=is_last):
            return False
        if not open_span.is_by_rule:
            return True
        if open_span.may_be_part and self._may_still_be_part(open_span, span):
            if not is_due:
                if needs_run is not None:
                    self.is_known(open_span, attributes, needs_run=needs_run)
                return False
            open_span.may_be_part = False
        if not open_span.is_by_rule:
            return True  # a part
        is_known = self.is_known(open_span, attributes, is_due=is_last, needs_run=needs_run)
        if is_known:
            self._start_late(open_span, span)
        return is_known

    def _may_still_be_part(self, open_span: OpenSpan, span: ReadableSpan) -> bool:
        """Note whether a span is a part of the step around it, and return whether that is not known yet."""
        chosen = open_span.candidate
        is_part = False if chosen is None else part_of(open_span.enclosing, chosen.rule)
        if is_part is None:
            return True
        open_span.may_be_part = False
        if is_part:
            self._be_part(open_span, span)
        return False

    def settle_at_end(self, open_span: OpenSpan, ended: ReadableSpan) -> bool:
        """Report the start of a span that ends, if that was not done and a rule applies to it now.

        Returns:
            Whether the end is reported later, behind the start.
        """
        if open_span.awaiting is not None:
            return self.settle(open_span, ended=ended)
        if open_span.candidates is None and open_span.beginning_on is None:
            return False
        return self._settle_late(open_span, ended, is_end=True)

    def _settle_late(self, open_span: OpenSpan, span: ReadableSpan, *, is_end: bool = False) -> bool:
        """Do the same for a span that is not waited for, at its end or before."""
        if not acquire(open_span.lock, _LOCK_TIMEOUT):
            return False
        try:
            if open_span.beginning_on == get_ident():
                if is_end:
                    open_span.ended = open_span.ended or span  # as above
                return is_end
            self._settle_unawaited(open_span, span)
        finally:
            open_span.lock.release()
        return False

    def _settle_unawaited(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        """Report the start of a span that is not waited for, if one of the rules for its name applies to it now."""
        if open_span.candidates is None:
            return
        attributes = attributes_to_match(span)
        chosen, is_open = open_span.candidates.choose(span.kind, attributes)
        is_end = span.end_time is not None
        if chosen is None or (is_open and not is_end):
            return
        self._decide(open_span, span, attributes, is_due=True)
        open_span.may_be_part = False
        if open_span.candidate is not None and self.is_known(open_span, attributes, is_due=True):
            self._start_late(open_span, span)

    def _decide(self, open_span: OpenSpan, span: ReadableSpan, attributes: Mapping[str, Any], *, is_due: bool) -> bool:
        """Note which of its rules applies to a span, and return whether it need not wait for that any longer."""
        candidates = open_span.candidates
        if candidates is None:
            return True  # a signal handler has looked at it
        chosen, is_open = candidates.choose(span.kind, attributes)
        if is_open and not is_due:
            return False
        if open_span.awaiting is not None or not is_open:
            candidates.waited(span.kind, for_something=not is_open)
        if chosen is None:
            return True
        self.on_match()
        open_span.candidate, open_span.flow_key = chosen, chosen.in_use.fixed_flow
        open_span.may_be_part = open_span.is_internal
        open_span.candidates = None
        if open_span.is_internal and open_span.awaiting is None:
            self._may_still_be_part(open_span, span)
        return True

    def _be_part(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        """Have a span be a part of the step around it."""
        open_span.candidate = open_span.flow_key = open_span.run_id = open_span.names = None
        self.spans.give_away(open_span)
        if open_span.ended is None:
            self.ignore(span)

    def _start_late(self, open_span: OpenSpan, span: ReadableSpan) -> None:
        if open_span.begun is None and open_span.candidate is not None:
            try:
                open_span.beginning_on = get_ident()
                open_span.begun = self.start(open_span, span)
            finally:
                open_span.beginning_on = None
        begun = open_span.begun
        if open_span.ended is not None:
            if begun is not None and not begun.outcome_reported:
                self.end(open_span.ended)
        elif open_span.has_ended:
            self.forgo_outcome(open_span.key)  # its end came meanwhile, and was handled


_LOCK_TIMEOUT: Final = 1.0
"""Seconds for which the end of a span waits while its start is being reported."""
