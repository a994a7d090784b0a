"""The calls of a server of gRPC: their messages, within bounds of memory and time, and their end at shutdown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import grpc
import grpc.aio
from starlette.exceptions import HTTPException

from failpath_otel.serving import body
from failpath_otel.serving.grpc.statuses import DETAILS, code_of, details_of
from failpath_otel.serving.refusals import Refused

_READ_AT_A_TIME: Final = 16
"""Messages that are read at a time: until one is there as a whole, its size is unknown, up to the server's limit."""

_WAITING: Final = 500
"""Calls that may wait to be read; of each, the transport holds no more than the window of its flow control."""

_PATIENCE_SECONDS: Final = 1.0
_LEAST_PATIENCE_SECONDS: Final = 0.25
"""How long a message may take to arrive while others wait to be read: the less, the more of them there are."""

_log: Final = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
Respond: TypeAlias = Callable[[Context], Coroutine[Any, Any, bytes]]
_T = TypeVar("_T")


class Calls:
    """Handles the calls of all services of one server; for one event loop.

    ``is_ending`` returns whether the server is about to end.
    """

    def __init__(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        self._is_ending: Final = is_ending
        self._draining = False
        self._in_progress = 0
        self._work: set[asyncio.Task[Any]] = set()
        self._idle: anyio.Event | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._reading: dict[anyio.CancelScope, float] = {}

    def handler(self, respond: Respond) -> Handler:
        """Return the handler of a method with one message in each direction.

        ``respond`` is called before the message is read, which is :meth:`read`'s to do, and raises ``HTTPException``
        to refuse the call.
        """

        async def handle(_messages: AsyncIterator[bytes], context: Context) -> bytes:
            return await self._counted(_respond(respond, context))

        # Of a stream of messages, because the handler of a single one is not called until that has been read.
        made: Handler = grpc.stream_unary_rpc_method_handler(handle)
        return made

    async def _counted(self, work: Coroutine[Any, Any, _T]) -> _T:
        self._in_progress += 1
        try:
            return await work
        finally:
            self._in_progress -= 1
            if self._idle is not None and not self._in_progress:
                self._idle.set()

    async def complete(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return the result of ``work``, which goes on to its end where the sender cancels the call.

        Its thread cannot be stopped, so that until then it takes its place and its memory, within their bounds.
        """
        task = asyncio.ensure_future(self._counted(work))
        self._work.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: "asyncio.Task[Any]") -> None:
        self._work.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, or it is logged where nothing waits for it any more

    @property
    def draining(self) -> bool:
        """Whether new calls are refused, because the server ends."""
        return self._draining or self._is_ending()

    def check(self) -> None:
        """Raise ``HTTPException`` (503) if the server ends."""
        if self.draining:
            raise _busy("this server is shutting down", "shutting_down")

    async def read(self, context: Context) -> bytes:
        """Return the message of a call, as it came: it may be gzipped.

        Raises ``HTTPException``: 400 if there is none, 503 if it takes too long, or if too many calls wait.
        """
        if self._limiter is None:
            # Made on use: it belongs to the event loop.
            self._limiter = anyio.CapacityLimiter(_READ_AT_A_TIME)
        if self._limiter.available_tokens < 1:
            waiting = self._limiter.statistics().tasks_waiting
            if waiting >= _WAITING:
                raise _busy("too much at once", "too_much")
            self._hurry(waiting + 1)
        async with self._limiter:
            began = anyio.current_time()
            scope = anyio.CancelScope(deadline=began + body.BODY_SECONDS)
            self._reading[scope] = began
            if waiting := self._limiter.statistics().tasks_waiting:
                self._hurry(waiting)
            message: Any = None
            try:
                with scope:
                    message = await context.read()
            finally:
                del self._reading[scope]
        if message is None:
            raise _busy(f"the message took longer than {scope.deadline - began:.2g} s", "slow_body")
        if message is grpc.aio.EOF:
            raise HTTPException(400, "the call ended without a message")
        whole: bytes = message
        return whole

    def _hurry(self, waiting: int) -> None:
        """Give messages less time: one that never ends must not keep others from being read."""
        patience = max(_PATIENCE_SECONDS / (1 + waiting / _READ_AT_A_TIME), _LEAST_PATIENCE_SECONDS)
        for scope, began in self._reading.items():
            scope.deadline = min(scope.deadline, began + patience)

    async def drain(self, grace_seconds: float) -> None:
        """Refuse new calls, and wait for those in progress, no longer than ``grace_seconds``."""
        self._draining = True
        if self._in_progress:
            self._idle = anyio.Event()
            with anyio.move_on_after(grace_seconds):
                await self._idle.wait()


async def _respond(respond: Respond, context: Context) -> bytes:
    try:
        return await respond(context)
    except HTTPException as error:
        refusal = error
    except Exception:  # noqa: BLE001 - the sender learns nothing of a fault but that there is one
        _log.exception("a call of gRPC failed")
        refusal = HTTPException(500, "internal error")
    await context.abort(code_of(refusal), refusal.detail, ((DETAILS, details_of(refusal)),))
    raise AssertionError  # it has raised


def metadata_of(context: Context, name: str) -> str:
    """Return the text of this name in the metadata of a call; empty if there is none."""
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value.decode("latin-1") if isinstance(value, bytes) else value
    return ""


def sender_of(context: Context) -> str:
    """Return the IP address of the peer of a call."""
    # ipv4:127.0.0.1:4317 or ipv6:%5B::1%5D:4317
    host = context.peer().partition(":")[2].rpartition(":")[0]
    return host.removeprefix("%5B").removeprefix("[").removesuffix("%5D").removesuffix("]")


def _busy(detail: str, reason: str) -> HTTPException:
    return Refused(503, detail, {"Retry-After": "1"}, reason=reason)
