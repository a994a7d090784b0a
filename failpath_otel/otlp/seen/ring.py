"""The newest spans of all requests, while a client asks for them."""

import threading
from collections import deque
from collections.abc import Iterable
from itertools import islice
from time import monotonic
from typing import Final

import msgspec

from failpath_otel.otlp.http_messages import TooManySpansError, spans_in
from failpath_otel.otlp.seen.span import EVERY_SPAN, SeenSpan, seen_spans
from failpath_otel.report import exception_once

MAX_SEEN_SPANS: Final = 2_000
"""Spans that are kept at most."""

WATCH_SECONDS: Final = 15.0
"""For how long spans are kept after a client has asked for them."""

PAGE_SPANS: Final = 500
"""Spans of one answer."""


class SeenPage(msgspec.Struct, rename="camel"):
    """The answer to a client: the spans, the number to ask with for the next ones, and how many it has missed."""

    next: int
    missed: int
    spans: list[SeenSpan]


class SeenSpans:
    """Keeps spans only while a client asks for them: reading all of them costs more than looking for steps.

    Used on any thread.
    """

    def __init__(self) -> None:
        self._kept: Final[deque[SeenSpan]] = deque(maxlen=MAX_SEEN_SPANS)
        self._count = 0
        self._wanted_until = 0.0
        self._lock: Final = threading.Lock()

    def watch(self, body: bytes, media_type: str) -> None:
        """Keep the spans of a request, if a client asks for them."""
        if monotonic() >= self._wanted_until:
            return
        try:
            self._keep(seen_spans(spans_in(body, media_type, EVERY_SPAN)))
        except (ValueError, TooManySpansError):
            pass  # the request is refused
        except Exception:  # noqa: BLE001 - must not cost the request
            exception_once("keeping spans for a client")

    def _keep(self, spans: Iterable[SeenSpan]) -> None:
        for span in spans:
            with self._lock:
                self._kept.append(span)
                self._count += 1

    def page(self, after: int) -> SeenPage:
        """Return the spans that have come since an answer with this ``next``; 0 asks for those from now on."""
        with self._lock:
            now = monotonic()
            if now >= self._wanted_until:
                self._kept.clear()
            self._wanted_until = now + WATCH_SECONDS
            if not 0 < after <= self._count + 1:
                return SeenPage(self._count + 1, 0, [])
            first = self._count + 1 - len(self._kept)
            begin = max(after, first)
            spans = list(islice(self._kept, begin - first, begin - first + PAGE_SPANS))
        return SeenPage(begin + len(spans), begin - after, spans)
