"""Spans that the application has dropped without ending them: nothing can end them any more."""

import weakref
from collections import deque
from contextlib import suppress
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, Span

SpanKey = tuple[int, int, int]
"""Trace id, span id and start time: programs that call ``random.seed`` repeat ids."""


StepId = SpanKey | int
"""An open step: of another tracer the key of its span, of this package the ``id`` of its span context."""


Reference = weakref.ref[Any]
"""A weak reference to what can still end a step of this package; a :class:`SpanReference` to any other span."""


class SpanReference(weakref.ref[Any]):
    """A weak reference to a span, with its key."""

    __slots__ = ("key",)

    key: SpanKey


class DroppedSpans:
    """Watch open spans for their garbage collection.

    The callback of a garbage collection only appends to :attr:`gone`; the reporter handles it later (decision 0007).
    """

    def __init__(self) -> None:
        self.gone: Final[deque[Reference]] = deque()
        """References to what was garbage collected."""

    def watch(self, span: object, key: SpanKey) -> SpanReference | None:
        """Return a reference that appears in :attr:`gone` when ``span`` is garbage collected.

        Returns:
            ``None`` for an object that is no SDK span, as a wrapper: it may be collected before the span is.
        """
        if not isinstance(span, Span):
            return None
        reference = SpanReference(span, self.gone.append)
        reference.key = key
        return reference

    def first(self) -> Reference | None:
        """Return the first reference in :attr:`gone`, and leave it there; ``None`` where there is none."""
        try:
            return self.gone[0]
        except IndexError:
            return None

    def discard(self, reference: Reference) -> None:
        """Remove ``reference``, now that it is handled; only now, because a signal handler may raise before."""
        # Another thread has removed it, or others while it was looked for: then it is handled, and removed, once more.
        with suppress(ValueError, IndexError):
            self.gone.remove(reference)


def key_of(span: ReadableSpan) -> SpanKey:
    """Return the key of ``span``, which no other span of this process has."""
    context = span.get_span_context()
    assert context is not None  # of a span that has begun
    return context.trace_id, context.span_id, span.start_time or 0
