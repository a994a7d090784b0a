"""A real gateway for tests: ``failpath-otel gateway`` as a process of its own."""

import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.forge import Started, start
from tests.gateway.requests import PROTOBUF
from tests.ports import unused_port
from tests.receiver import COMMAND, Answer, first_line

KEY: Final = "fp_project_gateway_0123"
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    url: str
    process: Started
    errors: Path
    grpc: str | None = None
    """The URL for gRPC, if it is served."""

    def request(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        """Any request; ``_`` stands for ``-`` in the names of headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=body, headers=named, method=method)
        if body is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def send(self, body: bytes, kind: str = PROTOBUF, **headers: str) -> Answer:
        """Posts spans."""
        return self.request("/v1/traces", body, Content_Type=kind, **headers)

    def health(self, token: str = "") -> Any:
        return self.request("/healthz", Authorization=f"Bearer {token}").json()

    def stderr(self) -> str:
        return self.errors.read_text()


@contextmanager
def start_gateway(
    endpoint: str,
    journal: Path | None,
    *options: str,
    grpc: str | None = "off",
    before: str = "",
    **environment: str,
) -> Generator[Gateway]:
    """Starts a gateway that delivers to ``endpoint``, yields it when it is ready, and stops it at the end.

    It serves no gRPC unless the options or ``grpc`` name a port, because all by default serve the same one. ``before``
    is Python that its process runs first.

    It is a process of its own, which finds its imports done: ``NO_FORGE="1"`` where a test is about the start itself.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH_", "OTEL_"))}
    variables = {
        **kept,
        "FAILPATH_PROJECT_KEY": KEY,
        "FAILPATH_DEV_ENDPOINT": endpoint,
        "FAILPATH_JOURNAL": "off" if journal is None else str(journal),
        **environment,
    }
    ports = ["--port", str(unused_port())]
    if grpc is not None and "--grpc-port" not in options:
        ports += ["--grpc-port", grpc]
    program = f"{before}; from failpath_otel.cli.main import main; raise SystemExit(main())"
    command = [*((sys.executable, "-c", program) if before else COMMAND), "gateway", *ports, *options]
    with tempfile.TemporaryDirectory() as directory:
        errors = Path(directory, "stderr")
        with errors.open("w") as stderr:
            process = start(command, stderr=stderr, env=variables)
        with process:
            try:
                ready = first_line(process)
                found = re.search(r" at (https?://127\.0\.0\.1:\d+)/v1/traces (?:and by gRPC at (\S+) )?to ", ready)
                assert found, f"not ready: {ready!r} {errors.read_text()}"
                yield Gateway(found[1], process, errors, found[2])
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
