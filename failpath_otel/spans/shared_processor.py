"""The span processor by which several providers share one reporter."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from failpath_otel import limits
from failpath_otel.delivery.at_exit import exit_budget, is_ending

if TYPE_CHECKING:
    from failpath_otel.spans.reporter import Reporter


class SharedProcessor(SpanProcessor):
    """A reporter as one provider sees it. The shutdown of a provider only flushes it: others may still use it.

    Args:
        reporter: shared by the providers.
        on_shutdown: called when the provider is shut down, but not at the end of the interpreter.
    """

    def __init__(self, reporter: "Reporter", on_shutdown: Callable[[], object] = lambda: None) -> None:
        self._reporter = reporter
        self._on_shutdown = on_shutdown
        # Bound directly, which saves a call for every span of the application.
        self.on_start = reporter.on_start  # type: ignore[method-assign]
        self.on_end = reporter.on_end  # type: ignore[method-assign]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait at most ``timeout_millis`` until all records so far are delivered; return whether they are."""
        return self._reporter.flush(exit_budget(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Flush for at most 5 s (2 s at the end of the interpreter)."""
        self._reporter.flush(exit_budget(limits.FLUSH_TIMEOUT), last=True)
        if not is_ending():  # where other providers still record, and no thread can be started
            self._on_shutdown()
