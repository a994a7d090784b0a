"""Spans that are steps by a rule: how such a step begins, and which run it belongs to."""

import contextvars
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, NamedTuple

from opentelemetry.baggage import get_baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, get_current_span

from failpath_otel import limits, semconv
from failpath_otel.records.rules import Rules, StepRule, named_misses, named_run, usable_run_id
from failpath_otel.records.translation import StepStart, ruled_start, stated_run_id
from failpath_otel.report import exception_once, warn_once
from failpath_otel.runtime.threads import RealThread, RLock, acquire, sleep
from failpath_otel.spans.dropped_spans import DroppedSpans, Reference, SpanKey, key_of

Begin = Callable[[Any, StepStart], None]
"""Reports that a step begins."""


class _Late(NamedTuple):
    span: ReadableSpan
    rule: StepRule
    due: float
    lock: Any  # an RLock, because a signal handler or a garbage collection may end the span on the thread that has it


class _Open:
    """A step that is open, or the span of a run: what spans inside of it have to know."""

    __slots__ = ("around", "flow_key", "inside", "key", "late", "request_rule", "run_id", "watched")

    def __init__(self, key: SpanKey, flow_key: str, around: "_Open | None") -> None:
        self.key: Final = key
        self.flow_key: Final = flow_key
        self.request_rule: StepRule | None = None  # by which it is a step, if it is a request, a message or a call
        self.run_id: str | None = None  # not known yet; empty for the trace id
        self.around = around
        self.inside: Final[set[tuple[int, int]]] = set()  # open spans that are no steps
        self.late: _Late | None = None
        self.watched: Reference | None = None


class RuleMatchedSpans:
    """The spans of one reporter that are steps by a rule, and are open.

    An instrumentation may set the attribute that holds the run id right after it has started the span, where no
    processor is told. Then ``running`` is reported a moment later: by a timer, or when a step of the same flow starts
    inside of it, or when it ends.

    Args:
        begin: reports that a step begins.
        forgo: expects no outcome of a step any more.
        disregard: leaves a span alone when it ends.
        dropped: watches what is open. Whoever takes from it calls :meth:`on_end`.
    """

    def __init__(
        self,
        begin: Begin,
        forgo: Callable[[SpanKey], None],
        disregard: Callable[[ReadableSpan], None],
        dropped: DroppedSpans,
    ) -> None:
        self.rules: Rules | None = None
        """Which spans are steps that begin from now on."""
        self.tells_misses = False
        """Somebody tries the rules out, and wants to hear of it where none of them ever matches."""
        self._misses_due: float | None = None
        self._begin = begin
        self._forgo = forgo
        self._disregard = disregard
        self._dropped = dropped
        # No lock is held around any of these: a garbage collection may come back here from anywhere.
        self.open: Final[dict[tuple[int, int], _Open]] = {}
        """By the ids of a span, the step that it is, or else the innermost one that it is in."""
        self.late: Final[set[_Open]] = set()
        """Steps that have begun and were not reported yet."""
        self._timer: RealThread | None = None

    def in_child(self) -> dict[tuple[int, int], Reference | None]:
        """Leaves to the parent of a forked child what was not reported yet; returns which spans these are."""
        late = {opened.key[:2]: opened.watched for opened in self.open.values() if opened.late is not None}
        for opened in self.open.values():
            opened.late = None  # with its lock, which a thread may have that does not exist here
        self.late.clear()
        self._timer = None
        return late

    def on_start(self, span: ReadableSpan, parent_context: Context | None) -> None:
        """Reports that a step begins, if ``span`` is one by a rule."""
        rules = self.rules
        rule = None if rules is None else rules.of(span)
        if rule is None:
            if self.tells_misses:
                self._tell_in_time()
            scope = span.instrumentation_scope
            if scope is not None and scope.name == _OURS:
                self._on_ours(span)
            elif self.open:
                self._pass(span)
            return
        if parent_context is None:
            parent_context = get_current()  # that of this thread, at this time
        around = self._around(span) or _named_around(parent_context)
        is_internal = span.kind is SpanKind.INTERNAL
        if is_internal and around is not None and around.request_rule == rule:
            # A part of that request, as `POST /charge http send` is of FastAPI's `POST /charge`, and no other attempt.
            self._pass(span)
            self._disregard(span)
            return
        opened = self._keep(span, rule.flow, around)
        opened.request_rule = None if is_internal else rule
        run_id = named_run(rule, span) or _carried_run(rule, parent_context)
        if rule.run_id is not None and not run_id:
            opened.late = _Late(span, rule, monotonic() + limits.LATE_RUN_ID, RLock())
            self.late.add(opened)
            self._look_later()
            return
        opened.run_id = run_id or self._run_around(opened)
        self._begin(span, ruled_start(span, rule, opened.run_id))

    def on_named(self, span: ReadableSpan, flow_key: str, run_id: str) -> None:
        """Remembers the span of a step or of a run that names itself, for those inside of it."""
        self._keep(span, flow_key, self._around(span)).run_id = run_id

    def on_end(self, key: SpanKey) -> None:
        """Forgets the span that ends, and reports that its step had begun, if that was not done."""
        ids = key[:2]
        opened = self.open.get(ids)
        if opened is None:
            return
        if opened.key[:2] != ids:
            self.open.pop(ids, None)
            opened.inside.discard(ids)
            return
        if opened.key != key:
            return  # ids were given twice
        self._settle(opened)
        self.open.pop(ids, None)
        opened.around = None  # or a chain of spans, each begun in the one before, would be kept for good
        for inside in list(opened.inside):
            self.open.pop(inside, None)

    def look(self, *, wait: bool = True) -> None:
        """Reports the steps that have their run id by now, or have waited for it; all, if not to ``wait`` any more.

        The last is at the end: where there were requests or messages and no rule has matched any span, the log says so.
        """
        for opened in list(self.late):
            late = opened.late
            try:
                # Without the attribute not at once: who has started the span may be about to set it.
                if late is not None and not (wait and late.due > monotonic() and not named_run(late.rule, late.span)):
                    self._settle(opened)
            except Exception:  # noqa: BLE001 - the others have begun as well
                exception_once("reporting the start of a step")
        if not wait and self.tells_misses and self.rules is not None:
            _tell(self.rules.misses())

    def _tell_in_time(self) -> None:
        """Says that no rule has matched a span for a while: a program that is stopped by a signal has no other end."""
        now = monotonic()
        if self._misses_due is None:
            self._misses_due = now + limits.MISSES_SECONDS
        elif now >= self._misses_due and self.rules is not None:
            self._misses_due = now + limits.MISSES_SECONDS  # so far there may have been spans of the start alone
            self.tells_misses = not self.rules.has_matched
            if _tell(self.rules.misses()):
                self.tells_misses = False

    def _on_ours(self, span: ReadableSpan) -> None:
        """Remembers the span of a run."""
        attributes = span.attributes or {}
        flow_key = attributes.get(semconv.FLOW_KEY)
        if isinstance(flow_key, str):
            self.on_named(span, flow_key, stated_run_id(attributes))

    def _pass(self, span: ReadableSpan) -> None:
        """Remembers in which step a span is that is none."""
        around = self._around(span)
        if around is not None:
            ids = key_of(span)[:2]
            self.open[ids] = around
            around.inside.add(ids)

    def _keep(self, span: ReadableSpan, flow_key: str, around: _Open | None) -> _Open:
        key = key_of(span)
        opened = _Open(key, flow_key, around)
        self.open[key[:2]] = opened
        opened.watched = self._dropped.watch(span, key)
        return opened

    def _around(self, span: ReadableSpan) -> _Open | None:
        """The innermost step or run that ``span`` is in, of those that are open."""
        parent = span.parent
        return None if parent is None else self.open.get((parent.trace_id, parent.span_id))

    def _run_around(self, opened: _Open) -> str:
        """The run of the innermost step of the same flow around one; empty where there is none."""
        around = opened.around
        while around is not None and around.flow_key != opened.flow_key:
            around = around.around
        if around is None:
            return ""
        self._settle(around)
        return around.run_id or ""

    def _settle(self, opened: _Open) -> None:
        """Reports that a step has begun, if that was not done, with the run id that it has by now."""
        late = opened.late
        # Its end may come while the timer does this, and has to wait. But never for good: who can tell what a `redact`
        # of the user's waits for?
        if late is None or not acquire(late.lock, _PATIENCE):
            return
        try:
            if opened.run_id is None:
                try:
                    opened.run_id = named_run(late.rule, late.span) or self._run_around(opened)
                    self._begin(late.span, ruled_start(late.span, late.rule, opened.run_id))
                    if self.open.get(opened.key[:2]) is not opened:
                        self._forgo(opened.key)  # its end could not wait, and was told already
                finally:
                    opened.late = None
                    self.late.discard(opened)
        finally:
            late.lock.release()

    def _look_later(self) -> None:
        if self._timer is None:
            timer = RealThread(self._on_time, "failpath-run-ids")
            self._timer = timer
            try:
                contextvars.Context().run(timer.start)  # and not in that of the span, which tracers hand on
            except RuntimeError:  # the interpreter ends, or there can be no more threads
                self._timer = None
                self.look()

    def _on_time(self) -> None:
        sleep(limits.LATE_RUN_ID_LOOK)
        self._timer = None
        self.look()
        if self.late:
            self._look_later()


_OURS: Final = __name__.partition(".")[0]
"""The scope of the spans of our runs."""
_PATIENCE: Final = 1.0
"""Seconds that the end of a span waits for its start to be reported."""


def _named_around(parent_context: Context) -> _Open | None:
    """The parent, where it says itself of which run it is, and was there before the rules were."""
    parent = get_current_span(parent_context)
    attributes: Any = getattr(parent, "attributes", None)
    if not isinstance(attributes, Mapping) or semconv.FLOW_KEY not in attributes:
        return None
    context = parent.get_span_context()
    named = _Open((context.trace_id, context.span_id, 0), str(attributes[semconv.FLOW_KEY]), None)
    named.run_id = stated_run_id(attributes)
    return named


def _tell(misses: list[tuple[str, str]]) -> bool:
    others = [(scope, name) for scope, name in misses if scope != _OURS]
    if others:
        warn_once("rules", "Failpath: no rule has matched a span of this process. There were: %s", named_misses(others))
    return bool(others)


def _carried_run(rule: StepRule, context: Context) -> str:
    names = (semconv.RUN_ID,) if rule.run_id is None else (rule.run_id, semconv.RUN_ID)
    return next((run_id for name in names if (run_id := usable_run_id(get_baggage(name, context)))), "")
