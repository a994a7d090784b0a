"""A server of the package in a process of its own, as its command starts it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.sink import HOST, BenchError

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    pid: int
    port: int
    grpc_port: int | None = None

    def cpu_seconds(self) -> float:
        """Return the processor time that its process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mebibytes(self) -> float:
        """Return the most memory that its process has had."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def started(*arguments: str, variables: Mapping[str, str]) -> Iterator[Server]:
    """Start ``failpath-otel`` with these arguments on a free port, wait until it listens, and end it at last."""
    command = [sys.executable, "-m", "failpath_otel.cli", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = re.search(rf"http://{re.escape(HOST)}:(\d+)", line)
        if port is None:
            msg = f"the server did not start: {line!r}"
            raise BenchError(msg)
        grpc_port = re.search(rf"gRPC at http://{re.escape(HOST)}:(\d+)", line)
        yield Server(process.pid, int(port[1]), grpc_port and int(grpc_port[1]))
    finally:
        process.terminate()
        process.communicate()
