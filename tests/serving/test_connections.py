"""How long a server keeps the connections of its clients."""

import asyncio
import socket
from typing import Final

from starlette.applications import Starlette

from failpath_otel.addresses import LOOPBACK
from failpath_otel.serving.addresses import listen
from failpath_otel.serving.server import Server

EXPORT_SECONDS: Final = 5
"""Between two exports, by default, of OpenTelemetry's SDKs."""


def test_a_connection_does_not_end_when_the_next_export_is_due() -> None:
    """Else its end and the next request would meet, and what does not send again has lost its spans."""
    server = Server(Starlette(), ready=lambda: None, ending=lambda: None, grace_seconds=1)
    kept = server.config.timeout_keep_alive
    assert kept > EXPORT_SECONDS
    assert kept % EXPORT_SECONDS >= 2


def test_the_body_of_an_answer_does_not_wait_until_its_head_is_acknowledged() -> None:
    """Which a client does 40 ms later where it has nothing to send: asyncio turns this off for sockets of TCP alone."""

    async def option_of_a_connection() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted: socket.socket = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen(LOOPBACK, 0) as listener:
            async with await asyncio.start_server(connected, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                option = await asyncio.wait_for(found, 20)
                writer.close()
        return option

    assert asyncio.run(option_of_a_connection()) == 1
