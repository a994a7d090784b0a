"""A Failpath that fails at times: it is busy, slow, down, or breaks a connection after it has read everything."""

import asyncio
import time
from collections import Counter
from random import Random
from typing import Final

import msgspec

from bench.fleet_services import Key
from bench.sink import HOST

_ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_BUSY_FOR_A_WHILE: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
_SLOW: Final = 3.0
"""Seconds that an answer takes at most while it is slow; the gateway waits for 1.5."""

_MOODS: Final = ("busy", "busy for a while", "slow", "down", "cuts off")
_WELL: Final = (1.0, 3.0)
_ILL: Final = (0.5, 2.0)
"""Seconds of each at least and at most."""


class _Event(msgspec.Struct, rename="camel"):
    id: str
    trace_id: str
    span_id: str
    status: str


class _Body(msgspec.Struct):
    events: list[_Event]


_decode: Final = msgspec.json.Decoder(_Body).decode


class FailingFailpath:
    """The receiver. It keeps what it has read, even if it could not answer; known ids are dropped."""

    def __init__(self, seed: int, port: int) -> None:
        self._chance: Final = Random(f"{seed} failpath")
        self._port: Final = port
        self._mood = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.arrived: dict[Key, int] = {}
        """Records, and when they first came (nanoseconds)."""

        self.ids: set[str] = set()
        self.doubled = 0
        self.failures: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._connection, HOST, self._port, limit=1 << 22)

    async def fail_at_times(self, over: asyncio.Event) -> None:
        """Fail from time to time until it is ``over``, then recover."""
        moods: list[str] = []
        while not await is_over(over, self._chance.uniform(*_WELL)):
            moods = moods or self._chance.sample(_MOODS, len(_MOODS))
            self._mood = moods.pop()
            self.failures[self._mood] += 1
            if self._mood == "down":
                self.stop()
            await is_over(over, self._chance.uniform(*_ILL))
            self._mood = ""
            if self._server is None:
                await self.start()

    def stop(self) -> None:
        """Refuse connections, and break the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                answer = await self._answer(await reader.readexactly(length))
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, body: bytes) -> bytes:
        """Return the answer; nothing if the connection is to be broken."""
        mood = self._mood
        if mood == "busy":
            return _BUSY
        if mood == "busy for a while":
            return _BUSY_FOR_A_WHILE
        if mood == "slow":
            await asyncio.sleep(self._chance.uniform(0, _SLOW))
        self._take(body)
        return b"" if mood == "cuts off" else _ACCEPTED

    def _take(self, body: bytes) -> None:
        now = time.time_ns()
        for event in _decode(body).events:
            self.doubled += event.id in self.ids
            self.ids.add(event.id)
            self.arrived.setdefault((event.trace_id, event.span_id, event.status), now)


async def is_over(over: asyncio.Event, seconds: float) -> bool:
    """Whether it is ``over``; waits for that for some seconds."""
    try:
        await asyncio.wait_for(over.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
