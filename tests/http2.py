"""A call of gRPC by hand, frame by frame, for senders that do not send all of their message: HTTP/2 of RFC 9113."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.grpc_client import EXPORT

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_WINDOW: Final = 65_535
_MOST: Final = 16_384
_SECONDS: Final = 40.0


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack("!I", len(content))[1:] + struct.pack("!BBI", kind, flags, stream) + content


def _headers(**named: str) -> bytes:
    """Literal fields without indexing (RFC 7541, 6.2.2); none of them is longer than 126 bytes."""
    texts = [(name.encode(), value.encode()) for name, value in named.items()]
    return b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in texts)


class Call:
    """A call, the only one on its connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection: Final = connection
        self._window = [_WINDOW, _WINDOW]  # of the connection and of the stream
        self._received = b""
        self.end: bytes | None = None
        """The header fields with which the server has ended the call, as they came."""

    def begin(self, method: str = EXPORT) -> None:
        """Sends all but the message."""
        names = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "a", "te": "trailers"}
        fields = _headers(**names, **{"content-type": "application/grpc"})
        self._connection.sendall(PREFACE + frame(_SETTINGS, 0, 0) + frame(_HEADERS, _END_HEADERS, 1, fields))

    def send(self, content: bytes) -> None:
        """Sends a part of the message, as the server lets it; a message begins with :func:`prefix`."""
        while content and self.end is None:
            size = min(len(content), _MOST, *self._window)
            if size == 0:
                self._read_frame()
                continue
            self._connection.sendall(frame(_DATA, 0, 1, content[:size]))
            content = content[size:]
            self._window = [left - size for left in self._window]

    def wait_for_end(self) -> bytes:
        """The fields with which the server ends the call."""
        while self.end is None:
            self._read_frame()
        return self.end

    def _read_frame(self) -> None:
        head = self._exactly(9)
        kind, flags, stream = struct.unpack("!BBI", head[3:])
        content = self._exactly(struct.unpack("!I", b"\0" + head[:3])[0])
        if kind == _WINDOW_UPDATE:
            self._window[1 if stream else 0] += struct.unpack("!I", content)[0]
        elif kind == _SETTINGS and not flags & _ACK:
            for number, value in struct.iter_unpack("!HI", content):
                if number == 4:  # SETTINGS_INITIAL_WINDOW_SIZE
                    self._window[1] += value - _WINDOW
            self._connection.sendall(frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self._connection.sendall(frame(_PING, _ACK, 0, content))
        elif kind == _HEADERS and flags & _END_STREAM:
            self.end = content

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            came = self._connection.recv(65_536)
            assert came, "the connection has ended"
            self._received += came
        content, self._received = self._received[:size], self._received[size:]
        return content


def prefix(size: int) -> bytes:
    """How a message of so many bytes begins that is not compressed."""
    return b"\0" + struct.pack("!I", size)


@contextmanager
def calling(url: str) -> Iterator[Call]:
    """A connection to a server of gRPC."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), _SECONDS) as connection:
        yield Call(connection)
