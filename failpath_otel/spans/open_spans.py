"""The open spans that are steps, may become steps, or are inside of one."""

from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel.spans.dropped_spans import DroppedSpans, key_of
from failpath_otel.spans.open_span import OpenSpan


class OpenSpans:
    """The open spans of one reporter, by the ids of each: the step that it is, or the innermost one that it is in.

    Used without a lock: a garbage collection may call back into it from anywhere.

    Args:
        dropped: watches them.
    """

    def __init__(self, dropped: DroppedSpans) -> None:
        self.by_ids: Final[dict[tuple[int, int], OpenSpan]] = {}
        self._dropped: Final = dropped

    def track(self, span: ReadableSpan, enclosing: OpenSpan | None, flow_key: str | None = None) -> OpenSpan:
        """Track a span that is a step, or may become one."""
        key = key_of(span)
        open_span = OpenSpan(key, enclosing, flow_key)
        open_span.span_reference = self._dropped.watch(span, key)
        # Last: a signal handler may raise before, and then nothing else removes it.
        self.by_ids[key[:2]] = open_span
        return open_span

    def track_child(self, span: ReadableSpan) -> None:
        """Track in which step a span is that is no step."""
        enclosing = self.enclosing(span)
        if enclosing is not None:
            ids = key_of(span)[:2]
            self.by_ids[ids] = enclosing
            enclosing.children.add(ids)

    def enclosing(self, span: ReadableSpan) -> OpenSpan | None:
        """Return the innermost open step or run around ``span``."""
        parent = span.parent
        return None if parent is None else self.by_ids.get((parent.trace_id, parent.span_id))

    def is_tracked(self, open_span: OpenSpan) -> bool:
        """Return whether a span is open, and a step or one that may become a step."""
        return self.by_ids.get(open_span.key[:2]) is open_span

    def give_away(self, part: OpenSpan) -> None:
        """Have a span be a part of the step around it, and no step."""
        if not self.is_tracked(part):
            return
        enclosing = part.enclosing
        while enclosing is not None and not self.is_tracked(enclosing):
            enclosing = enclosing.enclosing  # another part, or it has ended
        for ids in [part.key[:2], *part.children]:
            if enclosing is None:
                self.by_ids.pop(ids, None)  # nothing would do that for spans that never end
            else:
                self.by_ids[ids] = enclosing
                enclosing.children.add(ids)

    def end_of_child(self, ids: tuple[int, int], enclosing: OpenSpan) -> None:
        """Stop tracking a span that is no step."""
        self.by_ids.pop(ids, None)
        enclosing.children.discard(ids)

    def end(self, open_span: OpenSpan, *, is_needed: bool) -> None:
        """Stop tracking a span that is a step, or might have become one, and those inside that are none.

        Args:
            open_span: the span.
            is_needed: there may be spans inside of which it is not known yet which step they are, or whose.
        """
        ids = open_span.key[:2]
        self.by_ids.pop(ids, None)
        if open_span.enclosing is not None:
            open_span.enclosing.children.discard(ids)  # if it has become a part of that
        open_span.has_ended = True
        # A chain of spans, each started inside the one before, would be kept for good.
        if not is_needed or open_span.ended_around() > _MAX_ENDED:
            open_span.enclosing = None
        for child in list(open_span.children):
            self.by_ids.pop(child, None)


_MAX_ENDED: Final = 32
"""Spans around each other that have ended and are kept for those inside that wait."""
