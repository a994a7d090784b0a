"""The straight way to the endpoint: one kept connection, by what the standard library has (decision 0034)."""

import contextlib
import http.client
import re
import socket
import sys
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from failpath_otel.delivery.http import bounded, real_sockets
from failpath_otel.delivery.http.connection_errors import Means
from failpath_otel.delivery.http.final_answer import FinalAnswer
from failpath_otel.delivery.http.tls_context import bundle_of_environment, verifying_context
from failpath_otel.delivery.http.tls_stream import TlsStream
from failpath_otel.records.request import INFORMATIONAL
from failpath_otel.runtime.threads import is_gevent_patched

if TYPE_CHECKING:
    from typing_extensions import Self

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SEGMENT: Final = r"/(?!\.)[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_PLAIN: Final = re.compile(rf"https?://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?(?:{_SEGMENT})+")
"""A URL that looks on the wire as it does here; ``requests`` quotes, encodes and resolves what others contain."""

_OF_BODIES: Final = frozenset({"content-length", "transfer-encoding"})
_PORTS: Final = {"http": 80, "https": 443}
_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_READ_ON: Final = (BrokenPipeError, ConnectionResetError)
"""What is raised where a server has answered without reading the whole request: its answer is there."""


def is_plain(url: str, headers: Mapping[str, str]) -> bool:
    """Return whether a :class:`DirectChannel` sends to this URL, and with these headers, what ``requests`` would."""
    return bool(_PLAIN.fullmatch(url)) and _OF_BODIES.isdisjoint(name.lower() for name in headers)


class DirectChannel:
    """A connection of our own, without a proxy; for URLs and headers of :func:`is_plain`.

    No method of ``http.client.HTTPConnection`` is called, nor of a library above it, because that is where tracers of
    all vendors put their patches. Certificates are always verified.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url: Final = url
        self._is_secure: Final = parts.scheme == "https"
        self._host: Final = parts.hostname or ""
        self._port: Final = parts.port or _PORTS[parts.scheme]
        self._bundle: Final = bundle_of_environment()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._authority: Final = host if self._port == _PORTS[parts.scheme] else f"{host}:{self._port}"
        self._target: Final = parts.path
        self._connection: Any = None
        self.is_answered = True
        """The last request has an answer that was read; over another connection, it may come later."""

    def post(self, body: bytes, headers: dict[str, str], timeout: float | None) -> "_DirectReply":
        """See :class:`Channel`."""
        request = self._head(headers, len(body)) + body
        try:
            connection = self._connection
            # Closed by the other end, out of step, or left in the midst of an answer by an exception of a handler.
            if connection is None or not self.is_answered or real_sockets.is_readable(connection):
                self.close()
                connection = self._connect(timeout)
            else:
                connection.settimeout(timeout)
            self.is_answered = False
            with contextlib.suppress(*_READ_ON):
                connection.sendall(request)
            return _DirectReply(self, connection)
        except BaseException:
            self.close()  # in the midst of a request
            raise

    def means(self) -> Means:
        """See :class:`Channel`."""
        return Means(self._url, "", self._bundle)

    def close(self) -> None:
        """See :class:`Channel`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        try:  # noqa: SIM105 - at the end of the interpreter modules have lost their names
            self.close()
        except Exception:  # noqa: BLE001, S110
            pass

    def _head(self, headers: Mapping[str, str], length: int) -> bytes:
        named = {name.lower(): (name, value) for name, value in headers.items()}
        first = [("Host", self._authority), ("Accept-Encoding", "identity")]
        lines = [*[each for each in first if each[0].lower() not in named], *named.values()]
        text = "".join([f"{name}: {value}\r\n" for name, value in lines])
        return f"POST {self._target} HTTP/1.1\r\n{text}Content-Length: {length}\r\n\r\n".encode("latin-1")

    def _connect(self, timeout: float | None) -> Any:  # noqa: ANN401 - a socket of any kind
        context = verifying_context(self._bundle) if self._is_secure else None
        self._connection = made = real_sockets.connect(self._host, self._port, timeout, _OPTIONS)
        sys.audit("http.client.connect", self, self._host, self._port)
        owned = bounded.own_descriptor(made, self._port)
        self._connection = made = bounded.bounded(made, owned)
        if context is not None:
            if is_gevent_patched():
                self._connection = made = TlsStream(made, context, self._host)
            else:
                secured = context.wrap_socket(made, server_hostname=self._host)
                self._connection = made = bounded.bounded(secured, owned)
        return made


class _DirectReply:
    """An answer on the connection of a channel."""

    def __init__(self, channel: DirectChannel, connection: Any) -> None:  # noqa: ANN401 - a socket of any kind
        self._channel: Final = channel
        self._answer: Final = FinalAnswer(connection, method="POST")
        try:
            self._answer.begin()
        except BaseException:
            self._answer.close()
            raise
        self.status: Final = self._answer.status
        headers = self._answer.getheaders()
        self.headers: Final = {name.title(): " ".join(value.split()) for name, value in headers}  # unfolded

    def read(self, limit: int) -> bytes:
        """See :class:`Reply`."""
        answer = self._answer
        content = answer.read(limit + 1)
        if len(content) <= limit and answer.length:
            raise http.client.IncompleteRead(content, answer.length)
        if self.headers.get("Content-Encoding", "").lower() not in {"gzip", "x-gzip", "deflate"}:
            return content
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content, limit + 1)  # either of the two
        except zlib.error as error:
            msg = "the body cannot be decoded"
            raise http.client.HTTPException(msg) from error

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The one that counts comes over the same connection as an interim one: unread, it is closed with this.
        is_over = self._answer.isclosed() and self.status not in INFORMATIONAL
        will_close = self._answer.will_close
        self._answer.close()
        if error is not None or will_close or not is_over:
            self._channel.close()
        else:
            self._channel.is_answered = True
