"""What the operating system shows of a process, by its pid."""

import os
from pathlib import Path
from typing import Final, NamedTuple

CAN_LOOK: Final = os.name == "posix"
"""Whether :func:`look` may be called: on Windows, signal 0 is Ctrl-C."""

_PROC: Final = Path("/proc")
_INITIAL_NAMESPACE: Final = 0xEFFFFFFC
"""The inode of the pid namespace that Linux boots with (``PROC_PID_INIT_INO``, the same in every kernel)."""


class Look(NamedTuple):
    """A pid that is taken: ``ticks`` is when its holder began, in clock ticks since boot, where ``/proc`` tells."""

    zombie: bool
    ticks: int | None


def look(pid: int) -> Look | None:
    """Whoever has this pid now; ``None`` if nobody has it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # It is another user's, and it exists.
    try:
        # The second field is the command in parentheses, which may hold spaces and parentheses itself.
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        # A process whose first thread has ended looks like a zombie as well, but has threads left.
        return Look(zombie=fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1, ticks=int(fields[19]))
    except (OSError, ValueError, IndexError):
        return Look(zombie=False, ticks=None)


def nested() -> dict[int, list[int]]:
    """The processes of pid namespaces within ours (containers): the pid that each has inside, and its pids out here."""
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
    """Whether this process is in the pid namespace that the machine booted with, and no container."""
    try:
        return (_PROC / "self" / "ns" / "pid").stat().st_ino == _INITIAL_NAMESPACE
    except OSError:
        return False
