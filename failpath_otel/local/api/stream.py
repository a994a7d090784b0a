"""What changes, as server-sent events: a cursor over the revisions of the store for every client that listens."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio.to_thread
import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.local.store.database import StoreError
from failpath_otel.records.record import rfc3339

MAX_ROWS: Final = 200
"""How many runs one event names; where more have changed, a client does better to load its view again."""

_PACE_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 5.0
"""How long at most until the store is asked, in case that something changed it and did not say so."""

_PING_SECONDS: Final = 15
_RETRY_MILLISECONDS: Final = 1000
_CURSOR: Final = re.compile(r"(?P<store>.+)-(?P<revision>[0-9]{1,18})")

_log: Final = logging.getLogger(__name__)


class Row(Protocol):
    """A run, as far as a stream looks at it."""

    @property
    def revision(self) -> int:
        """When it changed last."""
        ...


_R = TypeVar("_R", bound=Row)
_R_co = TypeVar("_R_co", bound=Row, covariant=True)
_T = TypeVar("_T")


class ChangeLog(Protocol[_R_co]):
    """What a stream asks the store."""

    def changes(self, after_revision: int, limit: int, /) -> Sequence[_R_co]:
        """The runs that changed after that revision, each in its newest state, by revision."""
        ...

    def revision(self) -> int:
        """The newest revision."""
        ...

    def store_id(self) -> str:
        """What tells this database from any other."""
        ...


class _Hello(msgspec.Struct, frozen=True, rename="camel"):
    store_id: str
    revision: int
    now: str


class _Changed(msgspec.Struct, frozen=True, rename="camel"):
    revision: int
    now: str
    count: int
    rows: list[Any]
    more: bool


class Changes:
    """Wakes all open streams; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()
        self._resets = 0
        self._closed = False

    @property
    def resets(self) -> int:
        """How often history has changed."""
        return self._resets

    @property
    def closed(self) -> bool:
        """Whether all streams are to end."""
        return self._closed

    def notify(self, _revision: int = 0) -> None:
        """Says that runs have changed."""
        with self._lock:
            for wake in self._wakers:
                wake()

    def reset(self, _gone: int = 0) -> None:
        """Says that history changed, as by deletion, and clients have to load everything again."""
        with self._lock:
            self._resets += 1
        self.notify()

    def close(self) -> None:
        """Ends all streams, and every one that is opened afterwards."""
        self._closed = True
        self.notify()

    @contextmanager
    def listening(self) -> Generator[asyncio.Event, None, None]:
        """An event of the running loop that is set whenever there is something to look at."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # A loop that has ended has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            self._wakers.add(wake)
        try:
            yield event
        finally:
            with self._lock:
                self._wakers.discard(wake)


class Stream(Generic[_R]):
    """Tells each client what changed since the revision that it knows.

    Nothing is queued for a client: after each event that it has taken it gets the newest state of what changed since,
    so one that is slow costs no memory. ``row_json`` makes a run what is sent of it; it is called in a thread.
    """

    def __init__(
        self, log: ChangeLog[_R], changes: Changes, row_json: Callable[[_R], Any], clock: Callable[[], int]
    ) -> None:
        self._log = log
        self._changes = changes
        self._row_json = row_json
        self._clock = clock
        self._resets = 0
        self._reset_at = -1

    async def respond(self, request: Request) -> Response:
        """Answers with a stream that only the client, or the end of the server, ends."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        # Before the answer begins, so that a database that is busy is still a 503.
        store_id, newest = await _in_thread(lambda: (self._log.store_id(), self._log.revision()))
        given = request.headers.get("last-event-id") or request.query_params.get("after") or ""
        self._note_resets(newest)
        known = _known_revision(given, store_id) if given else newest
        # One that had the reset already, and nothing since, gets it twice: better than not at all.
        reset = known is None or known > newest or (bool(given) and known <= self._reset_at)
        events = self._events(store_id, newest if known is None or reset else known, reset=reset)
        return EventSourceResponse(events, ping=_PING_SECONDS, ping_message_factory=_ping, sep="\n")

    async def _events(self, store_id: str, revision: int, *, reset: bool) -> AsyncIterator[ServerSentEvent]:
        def event(name: str, data: object, retry: int | None = None) -> ServerSentEvent:
            text = msgspec.json.encode(data).decode()
            return ServerSentEvent(text, event=name, id=f"{store_id}-{revision}", retry=retry, sep="\n")

        resets = self._changes.resets
        with self._changes.listening() as something:
            yield event("hello", _Hello(store_id, revision, self._now()), _RETRY_MILLISECONDS)
            if reset:
                yield event("reset", {})
            while not self._changes.closed:
                something.clear()
                try:
                    if resets != self._changes.resets:
                        resets = self._changes.resets
                        revision = await _in_thread(self._log.revision)
                        self._note_resets(revision)
                        yield event("reset", {})
                    changed = await _in_thread(partial(self._changed, revision))
                    if changed is not None:
                        revision = changed.revision
                        yield event("changes", changed)
                except StoreError as error:
                    # The client waits for nothing else; what it has missed comes with the next look.
                    _log.warning("%s", error)
                await asyncio.sleep(_PACE_SECONDS)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(something.wait(), _LOOK_SECONDS - _PACE_SECONDS)

    def _changed(self, after: int) -> _Changed | None:
        """What changed after that revision; nothing if nothing did."""
        newest = self._log.revision()
        runs = self._log.changes(after, MAX_ROWS + 1)
        if not runs:
            return None
        more = len(runs) > MAX_ROWS
        # Who loads everything again afterwards has also seen what changed after the last of these.
        revision = max(newest, runs[-1].revision) if more else runs[-1].revision
        rows = [] if more else [self._row_json(run) for run in runs]
        return _Changed(revision, self._now(), len(runs), rows, more)

    def _note_resets(self, revision: int) -> None:
        """Keeps the revision of the last reset, or one after it: who comes back with an older one has to be told."""
        if self._resets != self._changes.resets:
            self._resets, self._reset_at = self._changes.resets, revision

    def _now(self) -> str:
        return rfc3339(self._clock() * 1000)


def _known_revision(text: str, store_id: str) -> int | None:
    found = _CURSOR.fullmatch(text)
    return int(found["revision"]) if found is not None and found["store"] == store_id else None


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping", sep="\n")


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
