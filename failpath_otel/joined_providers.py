"""Joining tracer providers: which were joined, when, and what reports their steps."""

import itertools
import weakref
from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, TracerProvider, get_tracer_provider

from failpath_otel._version import __version__
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock
from failpath_otel.semconv import SCOPE_NAME
from failpath_otel.step_state import SpanIds, StepState

if TYPE_CHECKING:
    from failpath_otel.delivery.pipelines import NewPipeline
    from failpath_otel.options.options import Options

_join_numbers: Final = itertools.count()


class Join:
    """One reporter with the providers that feed it: those of the application, and the private one (decision 0003)."""

    def __init__(self, options: "Options", new_pipeline: "NewPipeline | None" = None) -> None:
        from failpath_otel.delivery.pipeline import pipeline_to_failpath  # noqa: PLC0415 - imported on use (decision 0005)
        from failpath_otel.private_tracer_provider import PrivateTracer  # noqa: PLC0415
        from failpath_otel.spans.reporter import Reporter  # noqa: PLC0415
        from failpath_otel.spans.shared_processor import SharedProcessor  # noqa: PLC0415

        self._new_processor: Final = SharedProcessor
        self.reporter: Final = Reporter(options, new_pipeline or pipeline_to_failpath)
        self.current_key: Final = f"failpath.current_run.of_join.{next(_join_numbers)}"
        self.private: Final = PrivateTracer(SharedProcessor(self.reporter), SCOPE_NAME, __version__)
        self._last_provider: Callable[[], object] = lambda: None
        self._joined = False
        self._feeding_providers: Final[set[int]] = set()  # ids of the joined providers that live and were not shut down

    def new_lean_ids(self, parent: object) -> SpanIds | None:
        """Return the ids of a lean span below ``parent``; ``None`` where a span of the private provider is needed."""
        return None if self.reporter.has_rules else self.private.new_ids(parent)

    def start_lean(self, state: StepState) -> bool:
        """Report the start of a step without a span; return ``False`` where it needs one."""
        ids = self.new_lean_ids(state.private_span)
        if ids is None:
            return False
        state.is_lean, state.private_span = True, ids
        self.reporter.begin_lean(state, ids)
        return True

    def ignore_unreported(self, span: Span) -> None:
        """Ignore the end of ``span``, whose start was not reported: its step has a private span."""
        if self._joined and span.is_recording():
            # It began before the provider was joined, and ends after.
            self.reporter.ignore(span)

    def follow_global(self) -> None:
        """Join the global provider if another one was set meanwhile, for the steps to come."""
        provider = get_tracer_provider()
        if provider is not self._last_provider():
            with JOINS.lock:
                self.add_to(provider)

    def add_to(self, provider: TracerProvider) -> None:
        """Add the processor to ``provider``, unless that was done, or the provider takes none."""
        try:
            self._last_provider = weakref.ref(provider)
            can_track = True
        except TypeError:  # without weak references, joining it once cannot be ensured
            self._last_provider = lambda: provider
            can_track = False
        self._joined = JOINS.get(provider) is self if can_track else False
        key = id(provider)
        if self._joined:  # configured again, perhaps after its shutdown
            self._provider_joined(key)
        add: Any = getattr(provider, "add_span_processor", None)
        if add is None or not can_track or JOINS.get(provider) is not None:
            return
        try:
            add(self._new_processor(self.reporter, lambda: self._provider_left(key)))
        except Exception:  # noqa: BLE001 - a provider of another vendor may raise anything
            exception_once("joining the tracer provider")
            return
        JOINS.put(provider, self, lambda: self._provider_left(key))
        self._joined = True
        self._provider_joined(key)

    def _provider_joined(self, key: int) -> None:
        self._feeding_providers.add(key)
        self.reporter.pipelines.resume()

    def _provider_left(self, key: int) -> None:
        """Note that a provider was shut down or collected; takes no lock, because the garbage collector may call it."""
        self._feeding_providers.discard(key)
        if not self._feeding_providers:
            self.reporter.pipelines.release()


class Joins:
    """The join of each joined provider, found by identity: a provider, like that of Logfire, may be unhashable."""

    def __init__(self) -> None:
        self.default: Join | None = None
        """The join of the global provider, whichever that is."""
        self._by_id: Final[dict[int, tuple[weakref.ref[TracerProvider], Join, int]]] = {}
        self._unlock()
        after_fork_in_child(self._unlock)

    def _unlock(self) -> None:
        # Another thread, which does not exist in the child, may have held it at the fork.
        self.lock = RLock()

    def get(self, provider: TracerProvider) -> Join | None:
        """Return the join of ``provider``."""
        found = self._by_id.get(id(provider))
        return found[1] if found is not None and found[0]() is provider else None

    def since(self, provider: TracerProvider) -> int | None:
        """Return when ``provider`` was joined, in nanoseconds since the epoch; ``None``: never."""
        found = self._by_id.get(id(provider))
        return found[2] if found is not None and found[0]() is provider else None

    def put(self, provider: TracerProvider, join: Join, collected: Callable[[], object]) -> None:
        """Store that ``provider`` is joined from now on, for as long as it lives.

        Args:
            provider: the joined provider.
            join: its join.
            collected: called when ``provider`` is garbage collected; must not wait for anything.
        """
        key = id(provider)

        def forget(gone: "weakref.ref[TracerProvider]") -> None:
            found = self._by_id.get(key)
            if found is not None and found[0] is gone:
                del self._by_id[key]
                collected()

        self._by_id[key] = (weakref.ref(provider, forget), join, time_ns())

    def find(self, provider: TracerProvider | None) -> Join | None:
        """Return the join of ``provider``; of ``None``, the global one, also the join that waits for one to be set."""
        found = self.get(get_tracer_provider() if provider is None else provider)
        return found or (self.default if provider is None else None)


JOINS: Final = Joins()
"""The joins of this process."""
