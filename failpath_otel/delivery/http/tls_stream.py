"""TLS over a socket of the operating system where gevent has patched ``ssl``, whose sockets make event loops."""

import io
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

_T = TypeVar("_T")

_AT_A_TIME: Final = 65_536


class TlsStream:
    """What an HTTP connection needs of a socket, encrypted; over a connected socket, which it closes with itself.

    Python's own TLS sockets cannot be made any more once gevent has put others in their place, and urllib3's, which are
    like this one, would have to be imported before gevent patches: then the application's HTTPS fails, or after: on a
    thread of ours, where the locks of an import make an event loop.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._connection: Final = connection
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._tls.do_handshake)

    def _do(self, call: Callable[[], _T]) -> _T:
        """Call, and carry what it wants to send and to receive."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._connection.recv(_AT_A_TIME)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._connection.sendall(self._outgoing.read())

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                with view[sent : sent + _AT_A_TIME] as part:
                    sent += self._do(lambda: self._tls.write(part))

    def recv_into(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """Receive at least a byte; 0: the other end has closed."""
        try:
            return cast("int", self._do(lambda: self._tls.read(len(buffer), buffer)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file to read from."""
        return io.BufferedReader(_Raw(self))

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._connection.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Limit each read and write."""
        self._connection.settimeout(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Raw(io.RawIOBase):
    """Reads a stream, and leaves it open."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream: Final = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        return self._stream.recv_into(buffer)
