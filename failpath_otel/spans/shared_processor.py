"""The span processor behind which several providers share one reporter."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from failpath_otel import limits
from failpath_otel.delivery.at_exit import is_ending, patience

if TYPE_CHECKING:
    from failpath_otel.spans.reporter import Reporter


class SharedProcessor(SpanProcessor):
    """A reporter as one provider sees it; the shutdown of that provider only flushes it, because others may go on.

    Args:
        reporter: what the providers share.
        left: called when the provider was shut down, but not at the end of the interpreter.
    """

    def __init__(self, reporter: "Reporter", left: Callable[[], object] = lambda: None) -> None:
        self._reporter = reporter
        self._left = left
        # Not one more call for every span of the application.
        self.on_start = reporter.on_start  # type: ignore[method-assign]
        self.on_end = reporter.on_end  # type: ignore[method-assign]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Waits at most so long until everything so far is delivered, and tells whether it is."""
        return self._reporter.flush(patience(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Flushes for at most 5 s (2 s at the end of the interpreter)."""
        self._reporter.flush(patience(limits.FLUSH_TIMEOUT), last=True)
        if not is_ending():  # others still record then, and no thread can be started for them
            self._left()
