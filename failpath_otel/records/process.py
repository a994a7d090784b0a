"""The current process, described so that a receiver on the same host can identify it."""

import os
import socket
import sys
from typing import cast

import msgspec

from failpath_otel.records.record import ProcessInfo, encode_json, rfc3339
from failpath_otel.runtime.forking import after_fork_in_child


class ThisProcess:
    """Reads pid, host and start time once, and again after a fork."""

    def __init__(self) -> None:
        self._read()
        after_fork_in_child(self._read)

    def _read(self) -> None:
        # Encoded once: it is the same in every record, and the encoder copies `Raw`.
        self.json: bytes = encode_json(read_process())
        self.info = cast("ProcessInfo", msgspec.Raw(self.json))


def read_process() -> ProcessInfo:
    """Describe the current process."""
    pid = os.getpid()
    return ProcessInfo(pid=pid, host=socket.gethostname(), start_time=start_time(pid))


def start_time(pid: int) -> str | None:
    """Return when a process started (RFC 3339), or ``None`` without ``/proc``.

    Linux counts it in clock ticks since boot (proc(5), ``/proc/pid/stat`` field 22), and the boot in whole seconds
    (``btime`` in ``/proc/stat``), so the same process always gives the same text within one boot.
    """
    if sys.platform == "win32":
        return None
    # Imported on use: nothing else needs pathlib before there is a connection (decision 0005).
    from pathlib import Path  # noqa: PLC0415

    try:
        # The second field, in parentheses, may itself contain blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ticks = int(fields[19])
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()
            if line.startswith("btime ")
        )
        return rfc3339(boot * 10**9 + ticks * 10**9 // os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, StopIteration, AttributeError):
        return None
