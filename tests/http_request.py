"""An HTTP/1.1 request, as a server of the tests reads it from a connection."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
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


def read_head(incoming: BinaryIO) -> Request | None:
    """The next request, without events; ``None`` where the connection ends before its headers do."""
    lines: list[str] = []
    while (line := incoming.readline()).strip():
        lines.append(line.decode("latin-1").strip())
    if not (lines and line.endswith(b"\n")):
        return None
    method, path, _ = lines[0].split()
    fields = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Request(method, path, headers, b'{"events": []}')


def read_body(incoming: BinaryIO, request: Request) -> Request | None:
    """The request with its body; ``None`` where the connection ends before that does."""
    length = int(request.headers.get("content-length", "0"))
    body = incoming.read(length)
    return replace(request, body=body) if len(body) == length else None
