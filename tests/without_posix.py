"""Makes of a Python on Linux one that lacks what Windows lacks, as far as this package could use it.

``sys.platform`` is that of Windows; modules, functions and constants of POSIX are missing; sockets are no files; and
whatever would end a process there fails. Libraries are imported before, because they have their own ways on Windows.
"""

import errno
import os
import select
import signal
import socket
import stat
import sys
import time
from types import ModuleType
from typing import Final

MODULES: Final = (
    *("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "readline", "crypt", "spwd"),
    "nis",
)
_OS: Final = (
    *("fork", "forkpty", "register_at_fork", "posix_spawn", "posix_spawnp", "wait", "wait3", "wait4", "waitid"),
    *("pread", "preadv", "pwrite", "pwritev", "readv", "writev", "posix_fallocate", "posix_fadvise", "sendfile"),
    *("getuid", "geteuid", "getgid", "getegid", "getgroups", "setuid", "setgid", "getpgid", "setsid", "killpg"),
    *("fchmod", "chown", "fchown", "lchown", "mkfifo", "mknod", "fstatvfs", "statvfs", "sysconf", "uname"),
    *("fchdir", "fdatasync", "nice", "getloadavg", "sched_getaffinity", "openpty", "ttyname", "confstr", "sync"),
    *("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_SYNC", "O_DSYNC", "WNOHANG"),
)
_SIGNAL: Final = (
    *("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGSTOP", "SIGCONT"),
    *("setitimer", "getitimer", "ITIMER_REAL", "alarm", "pause", "pthread_sigmask", "sigwait", "pthread_kill"),
)


def _remove(module: ModuleType, names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def become_windows() -> None:
    """Do it, for the rest of the process."""
    sys.platform = "win32"
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment] # an import raises `ImportError`
    _remove(os, _OS)
    _remove(signal, _SIGNAL)
    _remove(select, ("poll", "epoll"))
    _remove(socket, ("AF_UNIX", "SO_REUSEPORT"))
    _remove(time, ("clock_gettime", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME", "tzset"))
    os.supports_dir_fd = set()
    os.kill = _never
    fstat = os.fstat

    def fstat_of_files(fd: int) -> os.stat_result:
        status = fstat(fd)
        if stat.S_ISSOCK(status.st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return status

    os.fstat = fstat_of_files


def _never(*_: object) -> None:
    raise AssertionError("on Windows, this ends a process")
