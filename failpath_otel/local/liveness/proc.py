"""The state of a process as the operating system shows it, by its pid."""

import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

CAN_INSPECT: Final = sys.platform != "win32"
"""Whether :func:`inspect_process` may be called: on Windows, ``os.kill`` ends the process, or sends it Ctrl-C."""

_PROC: Final = Path("/proc")
_INITIAL_NAMESPACE: Final = 0xEFFFFFFC
"""The inode of the pid namespace that Linux boots with (``PROC_PID_INIT_INO``, the same in every kernel)."""


class ProcessState(NamedTuple):
    """A process: ``ticks`` is its start in clock ticks since boot, where ``/proc`` has it."""

    zombie: bool
    ticks: int | None


def inspect_process(pid: int) -> ProcessState | None:
    """Return the state of the process with this pid; ``None`` if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # It exists, and is another user's.
    try:
        # The second field is the command in parentheses, which may hold spaces and parentheses itself.
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        # A process whose first thread has ended looks like a zombie as well, but has threads left.
        return ProcessState(zombie=fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1, ticks=int(fields[19]))
    except (OSError, ValueError, IndexError):
        return ProcessState(zombie=False, ticks=None)


def nested_processes() -> dict[int, list[int]]:
    """Return the pids on this host of the processes in nested pid namespaces (containers), by their pids inside."""
    found: dict[int, list[int]] = {}
    try:
        names = [path.name for path in _PROC.iterdir()]
    except OSError:
        return found
    for name in names:
        if not name.isdecimal():
            continue
        try:
            status = (_PROC / name / "status").read_bytes()
            # One pid for each namespace, from ours to its own.
            pids = status.partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
            if len(pids) > 1:
                found.setdefault(int(pids[-1]), []).append(int(name))
        except (OSError, ValueError):
            continue  # It has just ended, or is hidden.
    return found


def sees_every_process() -> bool:
    """Return whether this process is in the initial pid namespace, and in no container."""
    try:
        return (_PROC / "self" / "ns" / "pid").stat().st_ino == _INITIAL_NAMESPACE
    except OSError:
        return False
