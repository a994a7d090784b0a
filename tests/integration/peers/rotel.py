"""A collector that others have written: rotel, a program that speaks OTLP on both sides."""

import os
import platform
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.integration.peers.cache import installed, missing, run
from tests.ports import unused_port
from tests.receiver import wait_for

REQUIRED: Final = "ROTEL_REQUIRED"
"""With this variable a test that cannot run rotel fails; without it, it is skipped."""

_VERSION: Final = "0.0.1a15"
_MEMBER: Final = "rotel/rotel-agent"
_HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 5
_SECONDS: Final = 10.0
_QUICKLY: Final = ("--otlp-exporter-retry-initial-backoff", "100ms", "--otlp-exporter-retry-max-backoff", "400ms")
"""Its defaults are 5 s and 30 s."""


@dataclass(frozen=True)
class Rotel:
    """A running rotel."""

    url: str
    grpc: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self, text: str) -> int:
        """How often it has said ``text`` in its log."""
        return self.log.read_text(errors="replace").count(text)


def find_rotel() -> Path:
    """The program; where it cannot run, the test is skipped, or fails where it is required."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        missing("there is no rotel for this system", REQUIRED)

    def install(folder: Path) -> None:
        # Not installed, because the package is for one Python only, and the program in it for any.
        wanted = ("--python-version", "3.11", "--implementation", "cp", "--platform", f"manylinux_2_34_{machine}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        if failure := run([*command, *wanted, "--dest", ".", f"rotel=={_VERSION}"], folder):
            missing(f"pip cannot download rotel: {failure}", REQUIRED)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = Path(archive.extract(_MEMBER, folder))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        wheel.unlink()

    program = installed(f"rotel-{_VERSION}-{machine}", install) / _MEMBER
    if failure := run([str(program), "--version"], program.parent):
        missing(f"rotel does not run (on Debian 12: apt-get install libpython3.11): {failure}", REQUIRED)
    return program


@contextmanager
def start_rotel(
    program: Path, gateway: str, directory: Path, *options: str, protocol: str = "http"
) -> Generator[Rotel]:
    """Starts a rotel that takes OTLP by both protocols and sends it on to ``gateway`` by one, and ends it."""
    rotel = _start(program, gateway, directory, ("--otlp-exporter-protocol", protocol, *options))
    process = rotel.process
    try:
        yield rotel
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS)
        process.kill()
        process.wait()


def _start(program: Path, gateway: str, directory: Path, options: tuple[str, ...]) -> Rotel:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROTEL_", "OTEL_"))}
    log = directory / "rotel.log"
    for _ in range(_ATTEMPTS):
        http, grpc = (f"{_HOST}:{unused_port()}" for _ in range(2))
        # Somebody else may take a port before rotel does, which then ends at once.
        command = [str(program), "start", "--otlp-http-endpoint", http, "--otlp-grpc-endpoint", grpc]
        command += ["--exporter", "otlp", "--otlp-exporter-endpoint", gateway]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *_QUICKLY, *options], env=kept, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(partial(_is_settled, process, http), _SECONDS)
        except AssertionError:
            process.kill()
            process.wait()
            raise
        if process.poll() is None:
            return Rotel(f"http://{http}", f"http://{grpc}", process, log)
    pytest.fail(f"rotel does not start: {log.read_text(errors='replace')}")


def _is_settled(process: "subprocess.Popen[bytes]", address: str) -> bool:
    if process.poll() is not None:
        return True
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False
