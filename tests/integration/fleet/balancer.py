"""What stands in front of the gateways: it has the next one take a request that one cannot be reached for.

It stands for a load balancer, or for the load-balancing exporter of OpenTelemetry's Collector, which does not run in
these tests: an SDK's exporter knows one address.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_HOP_BY_HOP: Final = frozenset({"connection", "date", "server", "content-length", "transfer-encoding"})


class Balancer:
    """Hands requests to gateways in turn; ``answers`` counts theirs by status, and ``failed_over`` what it repeated."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports: Final = tuple(ports)
        self._turn: Final = itertools.count()
        self.answers: Final[Counter[int]] = Counter()
        self.failed_over = 0
        self._lock: Final = threading.Lock()
        self.server: Final = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def forward(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
        """The answer of the first gateway that gives one."""
        first = next(self._turn)
        for at in range(len(self._ports)):
            port = self._ports[(first + at) % len(self._ports)]
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", path, body, headers)
                answer: HTTPResponse = connection.getresponse()
                content = answer.read()
            except (OSError, HTTPException):
                # Perhaps it has taken all of it, and died before it could say so: whoever is last to take it knows.
                with self._lock:
                    self.failed_over += 1
                continue
            finally:
                connection.close()
            with self._lock:
                self.answers[answer.status] += 1
            return answer.status, answer.getheaders(), content
        return 503, [("Retry-After", "1")], b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        forward = self.forward

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                status, headers, content = forward(self.path, body, kept)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def balancing(*ports: int) -> Iterator[Balancer]:
    """A balancer in front of the gateways at these ports."""
    balancer = Balancer(ports)
    balancer.server.daemon_threads = True
    balancer.server.block_on_close = False
    thread = threading.Thread(target=balancer.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield balancer
    finally:
        balancer.server.shutdown()
        balancer.server.server_close()
        thread.join()
