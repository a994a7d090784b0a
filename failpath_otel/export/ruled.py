"""Spans that are steps by a rule: how such a step begins, and which run it belongs to."""

import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, NamedTuple

from opentelemetry.baggage import get_baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import get_current_span

from failpath_otel import limits, semconv
from failpath_otel.export.rules import Rules, StepRule, named_run, usable_run_id
from failpath_otel.export.translation import StepStart, ruled_start
from failpath_otel.forking import after_fork_in_child
from failpath_otel.report import report_fault

SpanKey = tuple[int, int, int]
"""Trace id, span id and start: programs that call ``random.seed`` repeat ids."""
Begin = Callable[[Any, StepStart], None]
"""Reports that a step begins."""


class _Late(NamedTuple):
    span: ReadableSpan
    rule: StepRule
    parent_context: Context
    due: float


def key_of(span: ReadableSpan) -> SpanKey:
    """What tells ``span`` from all others of this process."""
    context = span.get_span_context()
    assert context is not None  # of a span that has begun
    return context.trace_id, context.span_id, span.start_time or 0


class RuledSpans:
    """The spans of one reporter that are steps by a rule, and are open.

    An instrumentation may set the attribute that holds the run id right after it has started the span, where no
    processor is told. Then ``running`` is reported a moment later: by a timer, or when a span inside of it starts, or
    when it ends.

    Args:
        begin: reports that a step begins.
    """

    def __init__(self, begin: Begin) -> None:
        self.rules: Rules | None = None
        """Which spans are steps that begin from now on."""
        self._begin = begin
        self.open: dict[int, dict[int, StepStart]] = {}
        """The steps that are open in a trace, by span."""
        self.late: Final[dict[SpanKey, _Late]] = {}
        """Spans whose step has begun and was not reported yet."""
        self._unlock()
        after_fork_in_child(self._unlock)

    def _unlock(self) -> None:
        # Another thread may have held it when the process was forked, and does not exist in the child.
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def in_child(self) -> set[tuple[int, int]]:
        """Forgets, in a forked child, the steps that the parent has open; returns those nobody has reported yet."""
        late = {key[:2] for key in self.late}
        self.late.clear()
        self.open = {}
        return late

    def on_start(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Reports that a step begins, if ``span`` is one by a rule."""
        rule = None if self.rules is None else self.rules.of(span)
        if rule is None:
            return
        if parent_context is None:
            parent_context = get_current()  # that of this thread, at this time
        run_id = named_run(rule, span) or _carried_run(rule, parent_context)
        if rule.run_id is not None and not run_id:
            self.late[key_of(span)] = _Late(span, rule, parent_context, monotonic() + limits.LATE_RUN_ID)
            self._look_later()
            return
        self._report(span, rule, run_id or self._enclosing_run(span, rule, parent_context))

    def settle(self, key: SpanKey) -> None:
        """Reports that the step of one span begins, if that was not done, with the run id that it has by now."""
        with self._lock:  # its end may come while the timer does this
            found = self.late.get(key)
            if found is not None:
                span, rule = found.span, found.rule
                try:
                    run_id = named_run(rule, span)
                    self._report(span, rule, run_id or self._enclosing_run(span, rule, found.parent_context))
                finally:
                    self.late.pop(key, None)

    def settle_all(self) -> None:
        """:meth:`settle` for all spans."""
        for key in tuple(self.late):
            self.settle(key)

    def on_end(self, key: SpanKey) -> None:
        """Forgets the span that ends, and reports that its step had begun, if that was not done."""
        if key in self.late:
            self.settle(key)
        if key[0] in self.open:
            with self._lock:
                inside = self.open.get(key[0], {})
                inside.pop(key[1], None)
                if not inside:
                    self.open.pop(key[0], None)

    def _report(self, span: ReadableSpan, rule: StepRule, run_id: str) -> None:
        start = ruled_start(span, rule, run_id)
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        self._begin(span, start)
        with self._lock:
            self.open.setdefault(context.trace_id, {})[context.span_id] = start

    def _enclosing_run(self, span: ReadableSpan, rule: StepRule, parent_context: Context) -> str:
        """The run of the step of the same flow that ``span`` is in; empty where there is none."""
        parent = get_current_span(parent_context)
        attributes: Any = getattr(parent, "attributes", None)
        if isinstance(attributes, Mapping) and attributes.get(semconv.FLOW_KEY) == rule.flow:
            return usable_run_id(attributes.get(semconv.RUN_ID))
        trace_id, _, started = key_of(span)
        for key in tuple(self.late):
            if key[0] == trace_id and key[2] < started:  # those around it, and never itself
                self.settle(key)
        inside = self.open.get(trace_id, {})
        around = inside.get(parent.get_span_context().span_id)
        # Spans that are no steps may stand between the two: then it is the newest one that is open in this trace.
        found = [around] if around is not None else list(inside.values())[::-1]
        return next((start.run_id for start in found if start.flow_key == rule.flow), "")

    def _look_later(self) -> None:
        if self._timer is None:
            timer = threading.Timer(limits.LATE_RUN_ID_LOOK, self._look)
            timer.daemon = True
            self._timer = timer
            try:
                timer.start()
            except RuntimeError:  # the interpreter ends, or there can be no more threads
                self._timer = None
                self.settle_all()

    def _look(self) -> None:
        self._timer = None
        try:
            for key, late in tuple(self.late.items()):
                # Without the attribute not at once: who has started the span may be about to set it.
                if late.due <= monotonic() or named_run(late.rule, late.span):
                    self.settle(key)
            if self.late:
                self._look_later()
        except Exception:  # noqa: BLE001 - on a thread of ours
            report_fault("reporting the start of a step")


def _carried_run(rule: StepRule, context: Context) -> str:
    names = (semconv.RUN_ID,) if rule.run_id is None else (rule.run_id, semconv.RUN_ID)
    return next((run_id for name in names if (run_id := usable_run_id(get_baggage(name, context)))), "")
