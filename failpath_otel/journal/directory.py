"""The directory of one process's journal, and the lock that shows that the process lives (decision 0014)."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from time import time
from typing import Final

from failpath_otel.journal.files import port
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.runtime.descriptors import OwnedFd
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock

_LOCK: Final = "lock"
_NEW: Final = ".new-"
_VERSION: Final = "v3"
"""Version of the format. Journals of an unknown version are left alone (decision 0013)."""

_VERSION_1: Final = "v1"
"""The first version, which is still read: its headers hold the number of confirmed records."""

_KNOWN: Final = frozenset({_VERSION, "v2", _VERSION_1})
"""The versions that are read. In the second, all records are JSON."""

_ABANDONED_SECONDS: Final = 60.0
"""Age after which a directory that was never completed is deleted."""

_TRIES: Final = 3
"""A process whose clock is ahead may delete a directory that is being created, as if it had been abandoned."""


class UnusableError(OSError):
    """A place where no journal can be; the message says why."""


def open_base(path: str, *, create: bool) -> Folder:
    """Open the directory that holds the journals of all processes.

    Raises:
        OSError: it does not exist, cannot be created, is a symbolic link, or belongs to another user.
    """
    if not port.file_system.is_usable():
        raise UnusableError("this platform has no locks for it")
    if create:
        _make_private(path)
    base = port.file_system.open_folder(path)
    # Root can read everything anyway, and owns the volumes of a container.
    if base.is_of_others(or_of_root=True):
        base.close()
        raise UnusableError("it belongs to another user")
    return base


def _make_private(path: str) -> None:
    """Create a directory and its missing parents, all with mode 0700: `os.makedirs` gives it to the last one alone."""
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
    """All directories that this process has locked; a forked child closes them, or they would keep the locks."""

    def __init__(self) -> None:
        # Held during a fork, so that no descriptor of a lock is missing here. Reentrant: a signal handler may fork.
        self.lock = RLock()
        self.directories: set[LockedDirectory] = set()
        after_fork_in_child(self.close)
        if sys.platform != "win32" and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._lock, after_in_parent=self._unlock)

    def _lock(self) -> None:
        self.lock.acquire()

    def _unlock(self) -> None:
        self.lock.release()

    def close(self) -> None:
        """In a forked child: close all descriptors of the parent's directories, and unlock none of them."""
        self.lock = RLock()
        for directory in tuple(self.directories):
            directory.close()


class LockedDirectory:
    """A journal's directory that this process has locked: its own, or that of a process that has ended."""

    def __init__(self, base: Folder, name: str, folder: Folder, lock: OwnedFd) -> None:
        self._base: Final = base
        self._lock: Final = lock
        self.folder: Final = folder
        self.name: Final = name
        _locked.directories.add(self)

    @classmethod
    def create(cls, path: str, binding: str) -> "LockedDirectory":
        """Create a new directory below *path* that other processes see only once it is locked.

        Raises:
            OSError: it cannot be created or locked.
        """
        for _ in range(_TRIES - 1):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                return cls._create(path, binding)
        return cls._create(path, binding)

    @classmethod
    def _create(cls, path: str, binding: str) -> "LockedDirectory":
        with _locked.lock, contextlib.ExitStack() as undo:
            base = open_base(path, create=True)
            undo.callback(base.close)
            # Not `random`, which the application may have seeded alike in each of its processes.
            token = os.urandom(6).hex()
            name = f"{_VERSION}.{binding}.{os.getpid()}.{token}"
            # Where it could not be renamed with an open file in it, another process may lock it first: see `create`.
            begun = _NEW + token if port.file_system.moves_open_files else name
            base.make_folder(begun)
            undo.callback(_quietly_rmdir, begun, base)
            folder = base.folder(begun)
            undo.callback(folder.close)
            lock = OwnedFd(folder.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            undo.callback(_quietly_unlink, _LOCK, folder)
            undo.callback(lock.close)
            if not port.file_system.try_lock(lock.number):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            if begun != name:
                base.rename(begun, name)
            made = cls(base, name, folder, lock)
            undo.pop_all()
            return made

    @classmethod
    def try_lock(cls, base: Folder, name: str) -> "LockedDirectory | None":
        """Lock the directory *name* if its process has ended; return ``None`` if it lives or another process was first.

        Raises:
            OSError: it cannot be opened, is a symbolic link, or belongs to another user.
        """
        with _locked.lock, contextlib.ExitStack() as undo:
            folder = base.folder(name)
            undo.callback(folder.close)
            if folder.is_of_others(or_of_root=False):
                raise UnusableError("it belongs to another user")
            try:
                lock = OwnedFd(_open_regular(_LOCK, folder, "its lock"))
            except FileNotFoundError:
                # Another process emptied it and was killed before it removed it. `rmdir` deletes no file.
                if port.file_system.moves_open_files or _is_abandoned(base, name):
                    _quietly_rmdir(name, base)
                return None
            undo.callback(lock.close)
            if not port.file_system.try_lock(lock.number):
                return None
            # Another process may have removed it between the opening and the locking.
            if not _is_same_file(lock.number, f"{name}/{_LOCK}", base):
                return None
            own_base = base.opened_again()
            undo.callback(own_base.close)
            made = cls(own_base, name, folder, lock)
            undo.pop_all()
            return made

    def relock(self, path: str) -> "LockedDirectory | None":
        """Lock the same directory below *path* again after the descriptors of this process were closed.

        Return ``None`` if that fails, for example because another process has locked it meanwhile.
        """
        self.close()
        with contextlib.suppress(OSError), contextlib.ExitStack() as undo:
            base = open_base(path, create=False)
            undo.callback(base.close)
            return LockedDirectory.try_lock(base, self.name)
        return None

    @property
    def has_version_1(self) -> bool:
        """Whether its files are of version 1 of the format."""
        return is_version_1(self.name)

    def is_intact(self) -> bool:
        """Return whether its descriptors are still open; closing the lock's descriptor would have released the lock."""
        return self._lock.is_valid() and self.folder.is_valid() and self._base.is_valid()

    def exists(self) -> bool:
        """Return ``False`` if the directory was deleted, and ``True`` where that is unknown."""
        try:
            return os.fstat(self._lock.number).st_nlink > 0
        except OSError:
            return True

    def modified_at(self, name: str) -> float:
        """Return when the file *name* was modified, in seconds since the epoch."""
        return self.folder.status(name).st_mtime

    def new_file(self, name: str) -> int:
        """Create and open the file *name*."""
        return self.folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def open_file(self, name: str) -> int:
        """Open the existing file *name*.

        Raises:
            OSError: it cannot be opened, or is no regular file.
        """
        return _open_regular(name, self.folder, "it")

    def delete(self, name: str) -> None:
        """Delete the file *name*; ignore errors."""
        with contextlib.suppress(OSError):
            self.folder.delete(name)

    def files(self) -> list[str]:
        """Return the sorted names of the files, without the lock."""
        return sorted(name for name in self.folder.names() if name != _LOCK)

    def delete_files(self, *endings: str) -> None:
        """Delete the files whose names have one of these endings."""
        with contextlib.suppress(OSError):
            for name in self.files():
                if name.endswith(endings):
                    self.delete(name)

    def remove(self) -> bool:
        """Delete the directory, whose files are deleted already, and close it; return whether nothing is left in it.

        If a file is left in it that this version does not know, both the directory and its lock stay: another version
        may know the file, and finds the journal by its lock.
        """
        is_empty = True
        with contextlib.suppress(OSError):
            is_empty = not self.files()
            if is_empty:
                if not port.file_system.moves_open_files:
                    self._lock.close()  # or it could not be deleted; who locks it now finds nothing, and deletes it
                self.delete(_LOCK)
                self._base.remove_folder(self.name)
        self.close()
        return is_empty

    def close(self) -> None:
        """Close the descriptors without unlocking: a forked child must not release its parent's lock."""
        if self in _locked.directories:
            _locked.directories.discard(self)
            for owned in (self.folder, self._base, self._lock):
                owned.close()


_locked: Final = _LockedDirectories()


def is_version_1(name: str) -> bool:
    """Return whether the files in the directory *name* are of version 1 of the format."""
    return name.startswith(_VERSION_1)


def list_journals(base: Folder) -> Iterator[tuple[str, str]]:
    """Yield the name and binding of each journal below an open base; delete directories that were never completed."""
    for name in sorted(base.names()):
        version, _, rest = name.partition(".")
        if version in _KNOWN and rest.count(".") == 2:  # noqa: PLR2004 - binding, process id, token
            yield name, rest.partition(".")[0]
        elif name.startswith(_NEW):
            with contextlib.suppress(OSError):
                _remove_abandoned(base, name)


def _is_abandoned(base: Folder, name: str) -> bool:
    return time() - base.status(name).st_mtime > _ABANDONED_SECONDS


def _remove_abandoned(base: Folder, name: str) -> None:
    if _is_abandoned(base, name):
        found = LockedDirectory.try_lock(base, name)
        if found is not None:
            found.remove()
        else:
            _quietly_rmdir(name, base)


def _open_regular(name: str, folder: Folder, what: str) -> int:
    # Checked before as well: opening a device may block or have effects.
    if stat.S_ISREG(folder.status(name).st_mode):
        opened = folder.open(name, os.O_RDWR)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return opened
        os.close(opened)
    raise UnusableError(f"{what} is no regular file")


def _is_same_file(descriptor: int, path: str, base: Folder) -> bool:
    try:
        there = base.status(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return stat.S_ISREG(there.st_mode) and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _quietly_unlink(name: str, folder: Folder) -> None:
    with contextlib.suppress(OSError):
        folder.delete(name)


def _quietly_rmdir(name: str, base: Folder) -> None:
    with contextlib.suppress(OSError):
        base.remove_folder(name)
