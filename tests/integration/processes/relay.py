"""A relay in front of a receiver, whose connections end as a network ends them while nobody looks."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
_SECONDS: Final = 5.0


@dataclass
class _Connection:
    """One that came in, the one that it is passed on by, and who passes on what is said and what is answered."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    up: "asyncio.Task[None]"
    down: "asyncio.Task[None]"

    def forget(self) -> None:
        self.up.cancel()
        self.down.cancel()

    def finish(self) -> None:
        self.forget()
        for writer in self.writers:
            writer.close()

    def reset(self) -> None:
        self.forget()
        for writer in self.writers:
            # Closed at once and without a linger, a connection ends with an RST in place of a FIN.
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def mute(self) -> None:
        self.down.cancel()

    def close(self) -> None:
        self.forget()
        for writer in self.writers:
            writer.transport.abort()


class Relay:
    """Passes on whatever comes to ``url``; made by :func:`open_relay`.

    What it does to connections concerns those that there are, not those to come; it returns how many there were.
    """

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._loop = loop
        self._connections: list[_Connection] = []
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._connected, HOST, 0), loop)
        self._server = starting.result(_SECONDS)
        self.url: Final = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def finish(self) -> int:
        """Ends them in an orderly way."""
        return self._do(_Connection.finish)

    def reset(self) -> int:
        """Breaks them off."""
        return self._do(_Connection.reset)

    def forget(self) -> int:
        """Passes on nothing more, and tells neither side."""
        return self._do(_Connection.forget)

    def mute(self) -> int:
        """Passes on no more answers."""
        return self._do(_Connection.mute)

    def close(self) -> None:
        """Ends everything."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._do(_Connection.close)

    def _do(self, what: Callable[[_Connection], None]) -> int:
        async def do() -> int:
            concerned = [connection for connection in self._connections if not connection.down.done()]
            for connection in self._connections:
                what(connection)
            return len(concerned)

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further = await asyncio.open_connection(HOST, self._port)
        up = self._loop.create_task(_pass_on(reader, further[1]))
        down = self._loop.create_task(_pass_on(further[0], writer))
        self._connections.append(_Connection((writer, further[1]), up, down))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def open_relay(port: int) -> Iterator[Relay]:
    """A relay to a port of this machine, closed at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="relay", daemon=True)
    thread.start()
    try:
        relay = Relay(port, loop)
        try:
            yield relay
        finally:
            relay.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()
