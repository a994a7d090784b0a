"""Spans that are gone without an end: the application has dropped them, and nothing can end them any more."""

import weakref
from collections import deque
from contextlib import suppress
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, Span

SpanKey = tuple[int, int, int]
"""Trace id, span id and start: programs that call ``random.seed`` repeat ids."""


class Reference(weakref.ref[Any]):
    """A weak reference to a span, or to who ends it, and what tells that span from all others of this process."""

    __slots__ = ("key",)

    key: SpanKey


class DroppedSpans:
    """Watches spans that are open.

    A garbage collection tells that a span is gone anywhere, below any lock and on a thread that another one waits for
    with a lock. So only a note is taken there; :meth:`next` is for those who can act on it.
    """

    def __init__(self) -> None:
        self.noted: Final[deque[Reference]] = deque()
        """References to spans that are gone."""

    def watch(self, span: object, key: SpanKey) -> Reference | None:
        """A reference that is noted when ``span`` is gone, unless it was let go of before.

        Returns:
            ``None`` for what only stands for a span, and may be gone sooner.
        """
        if not isinstance(span, Span):
            return None
        reference = Reference(span, self.noted.append)
        reference.key = key
        return reference

    def next(self) -> Reference | None:
        """The next reference that was noted; it stays among these until it is :meth:`done`. ``None``: there is none."""
        try:
            return self.noted[0]
        except IndexError:
            return None

    def done(self, reference: Reference) -> None:
        """What was due for ``reference`` is done; an exception of a signal handler may come before that."""
        with suppress(ValueError):  # another thread was faster
            self.noted.remove(reference)


def key_of(span: ReadableSpan) -> SpanKey:
    """What tells ``span`` from all others of this process."""
    context = span.get_span_context()
    assert context is not None  # of a span that has begun
    return context.trace_id, context.span_id, span.start_time or 0
