"""The directory of one process's journal, and the lock that says that its owner lives."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from time import time
from typing import Final

from failpath_otel.runtime.descriptors import OwnedFd
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock

if sys.platform != "win32":
    import fcntl

# By its name, because eventlet puts an `os.open` of its own in the place of the one that this has.
_LOCKS: Final = sys.platform != "win32" and "open" in {each.__name__ for each in os.supports_dir_fd}

_LOCK: Final = "lock"
_NEW: Final = ".new-"
_VERSION: Final = "v2"
"""Of the format; journals of another one are left to those who know it."""

_VERSION_1: Final = "v1"
"""The format before, which is still read: its headers have the number of the records that are confirmed."""

_ABANDONED_SECONDS: Final = 60.0
"""Age after which a directory that was begun and never finished is nobody's."""

_TRIES: Final = 3
"""Another process whose clock stands ahead may take a directory that is being made for one that was never finished."""

_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0) | _NO_LINK  # for reading
_FILE: Final[int] = os.O_RDWR | _NO_LINK
_AT_ONCE: Final[int] = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Whatever may be there by the time that it is opened."""


class UnusableError(OSError):
    """A place where no journal can be; the text says why."""


def open_base(path: str, *, create: bool) -> int:
    """Opens the directory that holds the journals of all processes.

    Raises:
        OSError: there is none, it cannot be made, it is a symbolic link, or it is somebody else's.
    """
    if not _LOCKS:
        msg = "this platform has no locks for it"
        raise UnusableError(msg)
    if create:
        _make_private(path)
    base = os.open(path, _DIRECTORY)
    owner = os.fstat(base).st_uid
    # Root can do all the same whatever it wants; a volume of a container is its.
    if owner not in {0, os.geteuid()}:
        os.close(base)
        msg = "it belongs to another user"
        raise UnusableError(msg)
    return base


def _make_private(path: str) -> None:
    """Makes a directory and those above it that are missing; `os.makedirs` gives its mode to the last one alone."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102 - as the rest of this, without pathlib
    except FileExistsError:
        return
    except FileNotFoundError:
        above = os.path.dirname(path)  # noqa: PTH120
        if above == path:
            raise
        _make_private(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102


class _LockedDirectories:
    """All that this process has locked, for a child that is forked: a lock lives as long as somebody has it open."""

    def __init__(self) -> None:
        # No process is forked while something is being locked, so that no descriptor is missing here. Reentrant,
        # because a signal handler may fork.
        self.lock = RLock()
        self.directories: set[LockedDirectory] = set()
        after_fork_in_child(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._lock, after_in_parent=self._unlock)

    def _lock(self) -> None:
        self.lock.acquire()

    def _unlock(self) -> None:
        self.lock.release()

    def close(self) -> None:
        """In the child: closes all that is the parent's, and unlocks nothing."""
        self.lock = RLock()
        for directory in tuple(self.directories):
            directory.close()


class LockedDirectory:
    """A journal's directory that this process has locked: its own one, or one whose owner is gone."""

    def __init__(self, base: OwnedFd, name: str, directory: OwnedFd, lock: OwnedFd) -> None:
        self._base: Final = base
        self._lock: Final = lock
        self.fd: Final = directory
        self.name: Final = name
        _locked.directories.add(self)

    @classmethod
    def create(cls, path: str, binding: str) -> "LockedDirectory":
        """A new directory below ``path``, which nobody sees before it is locked.

        Raises:
            OSError: that cannot be.
        """
        for _ in range(_TRIES - 1):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                return cls._create(path, binding)
        return cls._create(path, binding)

    @classmethod
    def _create(cls, path: str, binding: str) -> "LockedDirectory":
        with _locked.lock, contextlib.ExitStack() as undo:
            owned_base = OwnedFd(open_base(path, create=True))
            undo.callback(owned_base.close)
            base = owned_base.number
            # Not the generator of `random`: the application may have seeded it, in each of its processes.
            token = os.urandom(6).hex()
            unfinished, name = _NEW + token, f"{_VERSION}.{binding}.{os.getpid()}.{token}"
            os.mkdir(unfinished, 0o700, dir_fd=base)
            undo.callback(_quietly_rmdir, unfinished, base)
            directory = OwnedFd(os.open(unfinished, _DIRECTORY, dir_fd=base))
            undo.callback(directory.close)
            lock = OwnedFd(os.open(_LOCK, _FILE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory.number))
            undo.callback(lock.close)
            undo.callback(_quietly_unlink, _LOCK, directory)
            fcntl.flock(lock.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(unfinished, name, src_dir_fd=base, dst_dir_fd=base)
            made = cls(owned_base, name, directory, lock)
            undo.pop_all()
            return made

    @classmethod
    def try_lock(cls, base: int, name: str) -> "LockedDirectory | None":
        """Locks the directory ``name`` if its owner is gone; ``None`` if it lives, or another process was quicker.

        Raises:
            OSError: it cannot be opened, is a symbolic link, or belongs to somebody else.
        """
        with _locked.lock, contextlib.ExitStack() as undo:
            directory = OwnedFd(os.open(name, _DIRECTORY, dir_fd=base))
            undo.callback(directory.close)
            if os.fstat(directory.number).st_uid != os.geteuid():
                msg = "it belongs to another user"
                raise UnusableError(msg)
            try:
                lock = OwnedFd(_open_regular(_LOCK, directory.number, "its lock"))
            except FileNotFoundError:
                # Whoever has emptied it was killed before the last step of that; it takes no file away.
                _quietly_rmdir(name, base)
                return None
            undo.callback(lock.close)
            try:
                fcntl.flock(lock.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            # Between the opening and the locking another process may have emptied and removed it.
            if not _is_same_file(lock.number, f"{name}/{_LOCK}", base):
                return None
            own_base = OwnedFd(os.dup(base))
            undo.callback(own_base.close)
            made = cls(own_base, name, directory, lock)
            undo.pop_all()
            return made

    def relock(self, path: str) -> "LockedDirectory | None":
        """The same directory below ``path``, locked once more after this process's descriptors were closed.

        ``None`` where that cannot be, as where another process has found it without its lock meanwhile.
        """
        self.close()
        with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
            base = OwnedFd(open_base(path, create=False))
            undo.callback(base.close)
            return LockedDirectory.try_lock(base.number, self.name)
        return None

    @property
    def descriptor(self) -> int:
        """Its descriptor.

        Raises:
            OSError: somebody else has closed it.
        """
        return self.fd.number

    @property
    def has_version_1(self) -> bool:
        """Whether its files are of the format before."""
        return self.name.startswith(_VERSION_1)

    def is_intact(self) -> bool:
        """Whether its descriptors are still its own: were the lock closed, that would have freed it."""
        return self._lock.is_valid() and self.fd.is_valid() and self._base.is_valid()

    def exists(self) -> bool:
        """Whether it can still be found, as far as that can be told: it was not deleted."""
        try:
            return os.fstat(self._lock.number).st_nlink > 0
        except OSError:
            return True

    def modified_at(self, name: str) -> float:
        """When a file was changed, in seconds since the epoch."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mtime

    def new_file(self, name: str) -> int:
        """Opens a file that does not exist yet."""
        return os.open(name, _FILE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self.descriptor)

    def open_file(self, name: str) -> int:
        """Opens a file that exists.

        Raises:
            OSError: that cannot be, or it is a device, a FIFO or another thing that is no regular file.
        """
        return _open_regular(name, self.descriptor, "it")

    def delete(self, name: str) -> None:
        """Deletes a file."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.descriptor)

    def files(self) -> list[str]:
        """The names of the files, but for the lock, in their order."""
        return sorted(name for name in os.listdir(self.descriptor) if name != _LOCK)  # noqa: PTH208 - a descriptor

    def delete_files(self, *endings: str) -> None:
        """Delete the files whose names have one of these endings."""
        with contextlib.suppress(OSError):
            for name in self.files():
                if name.endswith(endings):
                    self.delete(name)

    def remove(self) -> None:
        """Deletes the directory, whose files are deleted already, and lets go of it.

        Where a file of somebody else is left in it, it stays, and is no journal any more.
        """
        self.delete(_LOCK)
        with contextlib.suppress(OSError):
            os.rmdir(self.name, dir_fd=self._base.number)
        self.close()

    def close(self) -> None:
        """Lets go of it without unlocking: a child process must not free its parent's lock, which both have open."""
        if self in _locked.directories:
            _locked.directories.discard(self)
            for owned in (self.fd, self._base, self._lock):
                owned.close()


_locked: Final = _LockedDirectories()


def list_journals(base: int) -> Iterator[tuple[str, str]]:
    """The name and the binding of each journal below an open base; removes what was begun and never finished."""
    for name in sorted(os.listdir(base)):
        version, _, rest = name.partition(".")
        if version in {_VERSION, _VERSION_1} and rest.count(".") == 2:  # noqa: PLR2004 - binding, process id, token
            yield name, rest.partition(".")[0]
        elif name.startswith(_NEW):
            with contextlib.suppress(OSError):
                _remove_abandoned(base, name)


def _remove_abandoned(base: int, name: str) -> None:
    if time() - os.stat(name, dir_fd=base, follow_symlinks=False).st_mtime > _ABANDONED_SECONDS:
        found = LockedDirectory.try_lock(base, name)
        if found is not None:
            found.remove()
        else:
            _quietly_rmdir(name, base)


def _open_regular(name: str, directory: int, what: str) -> int:
    # Asked before as well: to open a device may block, or do something.
    if stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        opened = os.open(name, _FILE | _AT_ONCE, dir_fd=directory)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return opened
        os.close(opened)
    msg = f"{what} is no regular file"
    raise UnusableError(msg)


def _is_same_file(descriptor: int, path: str, base: int) -> bool:
    try:
        there = os.stat(path, dir_fd=base, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return stat.S_ISREG(there.st_mode) and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _quietly_unlink(name: str, directory: OwnedFd) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory.number)


def _quietly_rmdir(name: str, base: int) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=base)
