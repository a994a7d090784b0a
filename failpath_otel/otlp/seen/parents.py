"""Which span lies below which, of the newest spans of all requests: a log may name a span that is no step."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from failpath_otel.otlp.span import TooManySpansError
from failpath_otel.report import exception_once

if TYPE_CHECKING:
    from failpath_otel.otlp.seen.span_links import Link

MAX_SPANS_KEPT: Final = 50_000
"""Spans whose parents are kept, of all traces together."""


class SpanParents:
    """Keeps the parents of spans; used on any thread.

    Args:
        wanted: whether they are of use now: to read all spans costs time.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted: Final = wanted
        self._lock: Final = threading.Lock()
        self._traces: Final[OrderedDict[str, dict[str, str]]] = OrderedDict()
        self._count = 0

    def watch(self, body: bytes, media_type: str) -> None:
        """Keep the parents of the spans in a request, if they are of use. Does not raise."""
        if not self._wanted():
            return
        # With the first request that is of use: most receivers get no logs, and protobuf takes long to load.
        from failpath_otel.otlp.seen.span_links import links_in  # noqa: PLC0415

        try:
            self._keep(links_in(body, media_type))
        except (ValueError, IndexError, RecursionError, TooManySpansError):
            pass  # the request is refused, or its spans are unusual
        except Exception:  # noqa: BLE001 - must not cost the request
            exception_once("keeping the parents of spans")

    def parent(self, trace_id: str, span_id: str) -> str | None:
        """Return the parent of a span; ``None`` for one without, and for an unknown span."""
        with self._lock:
            trace = self._traces.get(trace_id)
            return None if trace is None else trace.get(span_id)

    def _keep(self, links: "Iterator[Link]") -> None:
        for trace_id, span_id, parent_id in links:
            with self._lock:
                trace = self._traces.setdefault(trace_id, {})
                self._count += span_id not in trace
                trace[span_id] = parent_id
                while self._count > MAX_SPANS_KEPT:
                    _, oldest = self._traces.popitem(last=False)
                    self._count -= len(oldest)
