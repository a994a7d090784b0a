"""A SOCKS5 proxy on loopback (RFC 1928, RFC 1929): only what a client of HTTP needs of it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from tests.ports import HOST

_VERSION: Final = 5
_NO_PASSWORD: Final = 0
_PASSWORD: Final = 2
_DOMAIN: Final = 3


class SocksServer:
    """Connects to one server, whatever host it is asked for; remembers which that was."""

    def __init__(self, target: int, user: tuple[str, str] | None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._target = target
        self._user = user
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection.makefile("rb", 0) as incoming:

            def read(count: int) -> bytes:
                data = b""
                while len(data) < count:
                    more = incoming.read(count - len(data))
                    if not more:
                        raise EOFError
                    data += more
                return data

            _, methods = read(2)
            read(methods)
            connection.sendall(bytes((_VERSION, _NO_PASSWORD if self._user is None else _PASSWORD)))
            if self._user is not None:
                name = read(read(2)[1])
                given = name.decode(), read(read(1)[0]).decode()
                connection.sendall(bytes((1, given != self._user)))
            *_, kind = read(4)
            host = read(read(1)[0]).decode() if kind == _DOMAIN else socket.inet_ntoa(read(4))
            self.asked.append((host, struct.unpack("!H", read(2))[0]))
            there = socket.create_connection((HOST, self._target))
            self._open.append(there)
            connection.sendall(bytes((_VERSION, 0, 0, 1)) + socket.inet_aton(HOST) + struct.pack("!H", self._target))
            threading.Thread(target=_copy, args=(there, connection), daemon=True).start()
            _copy(connection, there)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def socks_server(target: str, user: tuple[str, str] | None = None) -> Iterator[SocksServer]:
    """A proxy to the server at this URL, closed at the end; for ``user``, a name and a password, if given."""
    server = SocksServer(int(target.rpartition(":")[2]), user)
    try:
        yield server
    finally:
        server.close()
