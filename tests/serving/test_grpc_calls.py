"""The calls of gRPC, without a server: their messages, their refusals, and their end."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest
from starlette.exceptions import HTTPException

from failpath_otel.serving import body
from failpath_otel.serving.grpc import server
from failpath_otel.serving.grpc.calls import Calls, metadata_of, sender_of
from failpath_otel.serving.grpc.server import GrpcServer
from failpath_otel.serving.grpc.statuses import DETAILS


class AbortedError(Exception):
    """What gRPC raises where a call is refused."""


class Context:
    """A call, whose message comes when the test says."""

    def __init__(self, message: Any = b"spans", peer: str = "ipv4:127.0.0.1:4317") -> None:
        self.message = message
        self.end: tuple[Any, str] | None = None
        self._peer = peer

    async def read(self) -> Any:
        return await self.message if asyncio.isfuture(self.message) else self.message

    async def abort(self, code: Any, details: str, trailing: Any) -> None:
        assert [name for name, _ in trailing] == [DETAILS]
        self.end = code.name, details
        raise AbortedError

    def invocation_metadata(self) -> Any:
        return (("authorization", "Bearer a"), ("bytes-bin", b"\xe4"))

    def peer(self) -> str:
        return self._peer


def end_of(context: Any, respond: Callable[[Calls, Any], Any], *, ending: bool = False) -> Any:
    """The message that a call responds with, or what it is refused with."""

    async def act() -> Any:
        calls = Calls(lambda: ending)
        handler: Any = calls.handler(lambda given: respond(calls, given))
        try:
            return await handler.stream_unary(iter(()), context)
        except AbortedError:
            return context.end

    return asyncio.run(act())


async def echo(calls: Calls, context: Any) -> bytes:
    calls.check()
    return await calls.complete(calls.read(context))


async def fault(_calls: Calls, _context: Any) -> bytes:
    raise ZeroDivisionError


async def refuse(_calls: Calls, _context: Any) -> bytes:
    raise HTTPException(413, "too large")


def test_a_call_responds_with_what_its_handler_returns() -> None:
    assert end_of(Context(), echo) == b"spans"


def test_what_ends_a_call_has_a_code_and_a_text() -> None:
    assert end_of(Context(), refuse) == ("RESOURCE_EXHAUSTED", "too large")
    assert end_of(Context(), fault) == ("INTERNAL", "internal error")
    assert end_of(Context(grpc.aio.EOF), echo) == ("INVALID_ARGUMENT", "the call ended without a message")
    assert end_of(Context(), echo, ending=True) == ("UNAVAILABLE", "this server is shutting down")


def test_a_message_that_does_not_come_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.01)

    async def slow(calls: Calls, context: Any) -> bytes:
        context.message = asyncio.get_running_loop().create_future()
        return await calls.read(context)

    code, text = end_of(Context(), slow)
    assert code == "UNAVAILABLE"
    assert text.startswith("the message took longer than")


def test_slow_messages_give_way_to_those_that_wait() -> None:
    async def act() -> list[bytes | BaseException]:
        calls = Calls()
        never = [calls.read(Context(asyncio.get_running_loop().create_future())) for _ in range(16)]  # type: ignore[arg-type]
        waiting = [calls.read(Context(b"%d" % number)) for number in range(4)]  # type: ignore[arg-type]
        return await asyncio.gather(*never, *waiting, return_exceptions=True)

    ends = asyncio.run(act())
    assert ends[16:] == [b"0", b"1", b"2", b"3"]
    assert all(isinstance(end, HTTPException) and end.status_code == 503 for end in ends[:16])


def test_the_end_waits_for_work_whose_call_was_cancelled() -> None:
    async def act() -> tuple[bool, bool]:
        calls, gate, done = Calls(), asyncio.Event(), asyncio.Event()

        async def work() -> bytes:
            await gate.wait()
            done.set()
            raise HTTPException(503, "too late for anyone")

        handler: Any = calls.handler(lambda _: calls.complete(work()))
        call = asyncio.ensure_future(handler.stream_unary(iter(()), Context()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        draining = asyncio.ensure_future(calls.drain(10))
        await asyncio.sleep(0)
        before = draining.done()
        gate.set()
        await draining
        return before, done.is_set()

    assert asyncio.run(act()) == (False, True)


def test_the_peer_and_the_metadata_of_a_call_are_texts() -> None:
    of: Any = Context(peer="ipv6:%5B::1%5D:50000")
    assert (sender_of(of), sender_of(Context())) == ("::1", "127.0.0.1")  # type: ignore[arg-type]
    assert [metadata_of(of, name) for name in ("authorization", "bytes-bin", "none")] == ["Bearer a", "\u00e4", ""]


def test_a_connection_that_grpc_waits_for_does_not_keep_the_server_from_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer that has sent many pings keeps it for a minute."""
    monkeypatch.setattr(server, "_END_SECONDS", 0.01)

    class Kept:
        async def stop(self, _grace: float) -> None:
            await asyncio.get_running_loop().create_future()

    async def end() -> None:
        stopped: Any = GrpcServer("127.0.0.1", 0, is_required=True, max_message_bytes=1, is_ending=lambda: True)
        stopped._server = Kept()
        await asyncio.wait_for(stopped.stop(0), 20)

    asyncio.run(end())
