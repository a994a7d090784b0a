"""A trial on the spans that come to a local receiver."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from failpath_otel.cli.local_client import fetch
from failpath_otel.cli.trial.trial import Trial
from failpath_otel.otlp.seen.ring import SeenPage

_POLL_SECONDS: Final = 0.5


def watch(trial: Trial, url: str, token: str | None, seconds: float | None, ready: Callable[[], object]) -> None:
    """Take the spans that come to a local receiver, for *seconds* or until ``KeyboardInterrupt``.

    Args:
        trial: takes them.
        url: that of the receiver.
        token: the receiver's, if it has one.
        seconds: ``None``: without an end.
        ready: called once the receiver keeps its spans.

    Raises:
        ReceiverError: the receiver gave no usable response.
    """
    ends_at = None if seconds is None else monotonic() + seconds
    page = _fetch(url, 0, token)
    ready()
    while True:
        is_over = ends_at is not None and monotonic() >= ends_at
        page = _fetch(url, page.next, token)
        trial.take(page.spans)
        trial.missed += page.missed
        if not page.spans:
            if is_over:
                return
            sleep(_POLL_SECONDS if ends_at is None else min(_POLL_SECONDS, max(ends_at - monotonic(), 0.0)))


def _fetch(url: str, after: int, token: str | None) -> SeenPage:
    return fetch(url, "/api/seen-spans", {"after": str(after)}, token, SeenPage)
