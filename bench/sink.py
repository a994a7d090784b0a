"""The sink: an HTTP server in a process of its own that receives records and spans with as little work as possible.

`/v1/events` is answered with 202, `/v1/traces` with 200 and an empty protobuf message. Bodies are kept with the time of
their arrival, and decoded only on request, outside of any measurement.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from typing_extensions import Self

HOST: Final = "127.0.0.1"
_ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_TAKEN: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class BenchError(Exception):
    """A figure would be wrong: records were lost, or the sink failed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the sink has received since the last call."""

    records: list[dict[str, Any]]
    """The records, each with its time of arrival in nanoseconds under ``arrived``."""

    spans: int


class Sink:
    """Runs the sink for the length of a ``with`` block."""

    def __enter__(self) -> "Self":
        """Start the process and wait for its port."""
        # Where this process dies, the end of its input is what ends the sink.
        self._process = subprocess.Popen([sys.executable, "-m", "bench.sink"], stdin=-1, stdout=-1)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    @property
    def endpoint(self) -> str:
        """The URL without a path."""
        return f"http://{HOST}:{self._port}"

    def take(self) -> Arrived:
        """Return what has arrived since the last call."""
        connection = HTTPConnection(HOST, self._port, timeout=30)
        connection.request("GET", "/taken")
        taken = json.loads(connection.getresponse().read())
        connection.close()
        return Arrived(taken["records"], taken["spans"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()


@contextmanager
def refusing_url() -> Iterator[str]:
    """Yield a URL without a listener: its port is bound, so that none can start."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield f"http://{HOST}:{held.getsockname()[1]}"


class _Server:
    def __init__(self) -> None:
        self._events: list[tuple[int, bytes]] = []
        self._traces: list[bytes] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connection, HOST, 0, limit=1 << 22)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request, _, headers = head.lower().partition(b"\r\n")
                _, _, length = headers.partition(b"content-length:")
                body = await reader.readexactly(int(length.partition(b"\r\n")[0] or 0))
                writer.write(self._answer(request.split()[1], body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/v1/events":
            self._events.append((time.time_ns(), body))
            return _ACCEPTED
        if path == b"/v1/traces":
            self._traces.append(body)
            return _TAKEN
        content = json.dumps({"records": self._read_events(), "spans": self._read_traces()}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)

    def _read_events(self) -> list[dict[str, Any]]:
        events, self._events = self._events, []
        return [{**record, "arrived": arrived} for arrived, body in events for record in json.loads(body)["events"]]

    def _read_traces(self) -> int:
        traces, self._traces = self._traces, []
        requests = [ExportTraceServiceRequest.FromString(body) for body in traces]
        return sum(len(s.spans) for r in requests for resource in r.resource_spans for s in resource.scope_spans)


if __name__ == "__main__":
    asyncio.run(_Server().serve())
