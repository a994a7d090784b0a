"""Serves a page with packages for JavaScript as a bundler resolves them, and with no bundler."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

BLANK: Final = "/blank"
"""The path of an empty page."""

_PREFIX: Final = "/modules/"
_NAME_PARTS: Final = 2
"""Of a package with a scope: ``@opentelemetry/api``."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page: str, modules: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page.encode()
        self.modules = modules


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        path = urlsplit(self.path).path
        if path in {"/", BLANK}:
            self._respond(200, self.server.page if path == "/" else b"<!doctype html>", "text/html")
            return
        found = resolved(self.server.modules, path.removeprefix(_PREFIX)) if path.startswith(_PREFIX) else None
        if found is None:
            self._respond(404 if path.startswith(_PREFIX) else 204)
        elif found != path.removeprefix(_PREFIX):
            # Its own imports are relative to where it is.
            self._respond(302, location=f"{_PREFIX}{found}")
        else:
            self._respond(200, (self.server.modules / found).read_bytes(), "text/javascript")

    def _respond(self, status: int, body: bytes = b"", kind: str = "text/plain", location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def resolved(modules: Path, name: str) -> str | None:
    """The file that an import names, below the folder of all packages; nothing if there is none."""
    scope_and_name = name.split("/")[:_NAME_PARTS]
    package = modules.joinpath(*scope_and_name)
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    inside = name.split("/", _NAME_PARTS)[_NAME_PARTS:]
    exports = about.get("exports", {}).get("/".join([".", *inside]))
    if exports is not None:
        path = exports.get("module") or exports["default"]
        inside = [path if isinstance(path, str) else path["default"]]
    elif not inside:
        inside = [about["module"]]
    for ending in ("", ".js", "/index.js"):
        relative = f"{inside[0].removeprefix('./')}{ending}"
        relative = about.get("browser", {}).get(f"./{relative}", relative)
        if (package / relative).is_file():
            return "/".join([*scope_and_name, relative.removeprefix("./")])
    return None


@contextmanager
def serving(page: str, modules: Path) -> Iterator[int]:
    """Serves ``page`` at ``/``, and an empty one beside it, under any name of this machine; yields the port."""
    with _Server(page, modules) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
