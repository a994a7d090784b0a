"""The stream of changes, as server-sent events: each client has a cursor over the revisions of the store."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_queries import RunQueries
from failpath_otel.local.store.run_row import RunRow
from failpath_otel.serving.threads import in_thread

MAX_ROWS: Final = 200
"""The most runs of one event; after more changes, a client loads its view again."""

_PACE_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 5.0
"""The longest time between two reads of the store, in case that another process changed it."""

_PING_SECONDS: Final = 15
_RETRY_MILLISECONDS: Final = 1000
_CURSOR: Final = re.compile(r"(?P<store>.+)-(?P<revision>[0-9]{1,18})")

_log: Final = logging.getLogger(__name__)


class _Changed(msgspec.Struct, frozen=True, rename="camel"):
    revision: int
    now: str
    count: int
    rows: list[Any]
    more: bool


class ChangeNotifier:
    """Wakes all open streams; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self.resets = 0
        """The number of resets so far."""
        self.closed = False
        """Whether all streams are to end."""

    def notify(self, _revision: int = 0) -> None:
        """Wake all streams, because runs have changed."""
        with self._lock:
            for wake in self._wakers:
                wake()

    def reset(self, _gone: int = 0) -> None:
        """Have all clients load everything again, because runs were deleted."""
        with self._lock:
            self.resets += 1
        self.notify()

    def close(self) -> None:
        """End all streams, and every one that is opened afterwards."""
        self.closed = True
        self.notify()

    @contextmanager
    def listening(self) -> Generator[asyncio.Event, None, None]:
        """Yield an event of the running loop that is set on each change."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The loop may have ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            self._wakers.add(wake)
        try:
            yield event
        finally:
            with self._lock:
                self._wakers.discard(wake)


@dataclass(eq=False)
class Stream:
    """Sends each client what changed since the revision that it knows.

    Nothing is queued for a client: after each event that it has read it gets the newest state of what changed since,
    so a slow one costs no memory. ``row_json`` converts a run to what is sent; it is called on a thread.
    """

    log: RunQueries
    changes: ChangeNotifier
    row_json: Callable[[RunRow], Any]
    clock: Callable[[], int]

    def __post_init__(self) -> None:
        self._resets = 0
        self._reset_at = -1

    async def respond(self, request: Request) -> Response:
        """Respond with a stream that ends only with the client or the server."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        # Before the response begins, so that a busy database is still a 503.
        store_id, newest = await in_thread(lambda: (self.log.store_id(), self.log.revision()))
        given = request.headers.get("last-event-id") or request.query_params.get("after") or ""
        self._note_resets(newest)
        known = known_revision(given, store_id) if given else newest
        # A client that had the reset and nothing since gets it twice: better than not at all.
        reset = known is None or known > newest or (bool(given) and known <= self._reset_at)
        events = self._events(store_id, newest if known is None or reset else known, reset=reset)
        return EventSourceResponse(
            events, ping=_PING_SECONDS, ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"), sep="\n"
        )

    async def _events(self, store_id: str, revision: int, *, reset: bool) -> AsyncIterator[ServerSentEvent]:
        def event(name: str, data: object, retry: int | None = None) -> ServerSentEvent:
            text = msgspec.json.encode(data).decode()
            return ServerSentEvent(text, event=name, id=cursor_of(store_id, revision), retry=retry, sep="\n")

        resets = self.changes.resets
        with self.changes.listening() as something:
            hello = {"storeId": store_id, "revision": revision, "now": self._now()}
            yield event("hello", hello, _RETRY_MILLISECONDS)
            if reset:
                yield event("reset", {})
            while not self.changes.closed:
                something.clear()
                try:
                    if resets != self.changes.resets:
                        resets = self.changes.resets
                        revision = await in_thread(self.log.revision)
                        self._note_resets(revision)
                        yield event("reset", {})
                    changed = await in_thread(partial(self._changed, revision))
                    if changed is not None:
                        revision = changed.revision
                        yield event("changes", changed)
                except StoreError as error:
                    # What the client has missed comes with the next read.
                    _log.warning("%s", error)
                await asyncio.sleep(_PACE_SECONDS)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(something.wait(), LOOK_SECONDS - _PACE_SECONDS)

    def _changed(self, after: int) -> _Changed | None:
        """Return what changed after that revision; ``None`` without a change."""
        newest = self.log.revision()
        runs = self.log.changes(after, MAX_ROWS + 1)
        if not runs:
            return None
        more = len(runs) > MAX_ROWS
        # A client that then loads everything again has also seen the changes after the last of these.
        revision = max(newest, runs[-1].revision) if more else runs[-1].revision
        rows = [] if more else [self.row_json(run) for run in runs]
        return _Changed(revision, self._now(), len(runs), rows, more)

    def _note_resets(self, revision: int) -> None:
        """Keep the revision of the last reset, or a later one: a client that knows an older one needs the reset."""
        if self._resets != self.changes.resets:
            self._resets, self._reset_at = self.changes.resets, revision

    def _now(self) -> str:
        return to_rfc3339(self.clock())


def cursor_of(store_id: str, revision: int) -> str:
    """Return the cursor of a client that knows all changes up to a revision."""
    return f"{store_id}-{revision}"


def known_revision(text: str, store_id: str) -> int | None:
    """Return the revision of a cursor; ``None`` for what is none, and for a cursor of another store."""
    found = _CURSOR.fullmatch(text)
    return int(found["revision"]) if found is not None and found["store"] == store_id else None
