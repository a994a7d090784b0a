"""Where the spans of a trial come from: a local receiver that runs, or a port of our own."""

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from time import monotonic

from starlette.applications import Starlette
from starlette.routing import Route

from failpath_otel.addresses import LOOPBACK
from failpath_otel.cli.trial.trial import Trial
from failpath_otel.otlp.http_messages import ROUTE
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import ReadSpan
from failpath_otel.otlp.route import OtlpRoute
from failpath_otel.otlp.seen.span import EVERY_SPAN, seen_spans
from failpath_otel.serving.addresses import listen
from failpath_otel.serving.server import Server

for _name in ("google.protobuf", "opentelemetry.proto"):
    # Loaded with the first request in protobuf; said now if it is missing.
    if find_spec(_name) is None:
        raise ModuleNotFoundError(f"No module named {_name!r}", name=_name)


def receive(trial: Trial, port: int, seconds: float | None, ready: Callable[[str], None]) -> None:
    """Take the spans that come to a port of this machine, for *seconds* or until Ctrl-C. Main thread only.

    Args:
        trial: takes them.
        port: 0 picks a free one.
        seconds: ``None``: until Ctrl-C or SIGTERM.
        ready: called with the URL.

    Raises:
        OSError: the port cannot be used.
    """
    lock = threading.Lock()

    def take(spans: Iterator[ReadSpan]) -> Receipt:
        seen = list(seen_spans(spans))
        with lock:
            trial.take(seen)
        return Receipt(received=len(seen), ignored=len(seen))

    with listen(LOOPBACK, port) as listener:
        url = f"http://{LOOPBACK}:{listener.getsockname()[1]}{ROUTE}"
        app = Starlette(routes=[Route(ROUTE, OtlpRoute(take, reading=EVERY_SPAN).receive, methods=["POST"])])
        server = _Timed(app, ready=lambda: ready(url), ending=lambda: None, grace_seconds=1)
        server.ends_at = None if seconds is None else monotonic() + seconds
        server.stop_on_signals()
        server.run(sockets=[listener])


class _Timed(Server):
    ends_at: float | None = None

    async def on_tick(self, counter: int) -> bool:
        if self.ends_at is not None and monotonic() >= self.ends_at:
            self.should_exit = True
        return await super().on_tick(counter)
