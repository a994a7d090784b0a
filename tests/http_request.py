"""An HTTP/1.1 request, as a server of the tests reads it from a connection."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast


@dataclass(frozen=True)
class Request:
    """One request as it came in; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def plain(self) -> bytes:
        """The body as it was before it was compressed."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of a body of the wire contract."""
        return cast("list[dict[str, Any]]", json.loads(self.plain)["events"])


def read_request(incoming: BinaryIO, *, reads_body: bool) -> Request | None:
    """The next request; ``None`` where the connection ends before one is there."""
    line = incoming.readline()
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (line := incoming.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if not reads_body:
        return Request(method, path, headers, b'{"events": []}')
    length = int(headers.get("content-length", "0"))
    body = incoming.read(length)
    return Request(method, path, headers, body) if len(body) == length else None
