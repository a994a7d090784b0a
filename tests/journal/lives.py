"""Processes as a journal sees them, several of them in one: each with its own descriptors, and with an end at any call.

The journal's modules get an ``os``, a ``fcntl`` and an ``mmap`` that ask :data:`acting` before each call: it may fail,
or its process may be killed just before, in the midst of it or just after. Who was killed makes no more calls.
"""

import errno
import itertools
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import RLock, get_ident
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from failpath_otel.journal import directory, trimming
from failpath_otel.journal.segments import mapped, segment
from failpath_otel.runtime import descriptors as owned
from tests.journal.windows import windows

if sys.platform != "win32":
    import fcntl

    from failpath_otel.journal.files import posix

CHANGING: Final = ("mkdir", "rename", "unlink", "rmdir", "ftruncate", "posix_fallocate")
LOOKING: Final = ("pread", "read", "fstat", "stat", "listdir")


class Killed(BaseException):
    """The process is gone; nothing of it may run any more."""


@dataclass
class Fate:
    """What becomes of the call number ``calls`` from now on."""

    calls: int
    kind: str
    """``before``, ``within`` or ``after``: the process is killed; ``fails``: the call does."""

    error: int = errno.EIO
    name: str | None = None
    """Only calls of this name count."""


@dataclass
class Life:
    """A process: its descriptors, and whether it lives."""

    fate: Fate | None = None
    plain: bool = False
    """Its file system can set no room aside."""

    alive: bool = True
    descriptors: set[int] = field(default_factory=set)
    failed: list[int] = field(default_factory=list)
    """With what its calls have failed."""

    def die(self) -> None:
        """Ends it; as the kernel does, closes all that it has open."""
        self.alive = False
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

    def call(self, name: str, function: Callable[[], Any], partly: Callable[[], Any] | None = None) -> Any:
        """Makes a system call, or not."""
        if not self.alive:
            raise Killed
        fate = self.fate
        if fate is None or fate.name not in {None, name}:
            return function()
        if fate.calls > 0:
            fate.calls -= 1
            return function()
        self.fate = None
        if fate.kind == "fails":
            self.failed.append(fate.error)
            raise OSError(fate.error, os.strerror(fate.error))
        if fate.kind == "within" and partly is not None:
            partly()
        elif fate.kind == "after":
            with suppress(OSError):
                found = function()
                if name in {"open", "dup"}:
                    os.close(found)
        self.die()
        raise Killed


_acting: list[Life] = []


@contextmanager
def acting(life: Life, fate: Fate | None = None) -> Iterator[None]:
    """In this block ``life`` makes the calls; being killed ends the block quietly."""
    life.fate = fate
    _acting.append(life)
    try:
        yield
    except Killed:
        pass
    finally:
        _acting.pop()
        life.fate = None


class _Os:
    """The module ``os`` of the acting process."""

    def __init__(self) -> None:
        self._tokens = itertools.count(1)

    def urandom(self, size: int) -> bytes:
        """The same names in every repetition of a story."""
        return next(self._tokens).to_bytes(size, "big")

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name in CHANGING or name in LOOKING:
            return self._counted(name, function)
        return function

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            life = _acting[-1]
            if name == "posix_fallocate" and life.plain:
                raise OSError(errno.EOPNOTSUPP, "not here")
            return life.call(name, lambda: function(*args, **kwargs))

        return call

    def open(self, *args: Any, **kwargs: Any) -> int:
        life = _acting[-1]
        descriptor: int = life.call("open", lambda: os.open(*args, **kwargs))
        life.descriptors.add(descriptor)
        return descriptor

    def dup(self, descriptor: int) -> int:
        life = _acting[-1]
        other: int = life.call("dup", lambda: os.dup(descriptor))
        life.descriptors.add(other)
        return other

    def close(self, descriptor: int) -> None:
        life = _acting[-1]
        if not life.alive:
            raise Killed
        assert descriptor in life.descriptors, f"closes {descriptor}, which is not open"
        life.descriptors.discard(descriptor)
        os.close(descriptor)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        written: int = _acting[-1].call(
            "pwrite",
            lambda: os.pwrite(descriptor, data, offset),
            # The header, and in it the count of the confirmed records, are too short to be torn.
            lambda: os.pwrite(descriptor, data[: len(data) // 2], offset) if len(data) > segment.HEADER_BYTES else 0,
        )
        return written

    def write(self, descriptor: int, data: bytes) -> int:
        written: int = _acting[-1].call(
            "write",
            lambda: os.write(descriptor, data),
            lambda: os.write(descriptor, data[: len(data) // 2]) if len(data) > segment.HEADER_BYTES else 0,
        )
        return written


class _Fcntl:
    """The module ``fcntl`` of the acting process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(fcntl, name)

    def flock(self, descriptor: int, operation: int) -> None:
        _acting[-1].call("flock", lambda: fcntl.flock(descriptor, operation))


class _Map(mmap.mmap):
    """A mapping of the acting process, into which a record may be copied in part."""

    def write(self, data: Any) -> int:
        def partly() -> None:
            if self.tell() + len(data) <= len(self):
                # Memory is copied in any order.
                at, half = self.tell(), len(data) // 2
                if len(data) % 3 == 0:
                    self[at : at + half] = data[:half]
                elif len(data) % 3 == 1:
                    self[at + half : at + len(data)] = data[half:]
                else:
                    self[at : at + 10] = data[:10]
                    self[at + len(data) - 4 : at + len(data)] = data[-4:]

        written: int = _acting[-1].call("write", lambda: super(_Map, self).write(data), partly)
        return written


_maps: Final[list[_Map]] = []
"""Of all lives, which would never be closed otherwise: those who are killed do not, and they outlive their owners."""


def _map(*args: Any, **kwargs: Any) -> _Map:
    made: _Map = _acting[-1].call("mmap", lambda: _Map(*args, **kwargs))
    _maps.append(made)
    return made


class _InThisThread:
    """A module for the thread of the test; threads that other tests have left running see the real one."""

    def __init__(self, ours: Any, real: Any) -> None:
        self._ours, self._real, self._thread = ours, real, get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ours if get_ident() == self._thread else self._real, name)


@contextmanager
def many_lives(*, on_windows: bool = False) -> Iterator[None]:
    """In this block the journal's modules ask who acts."""
    system = _InThisThread(_Os(), os)
    thread = get_ident()

    def mapping(*args: Any, **kwargs: Any) -> mmap.mmap:
        return _map(*args, **kwargs) if get_ident() == thread else mmap.mmap(*args, **kwargs)

    with ExitStack() as patches:
        for module in (directory, mapped, owned, posix, segment, trimming):
            patches.enter_context(patch.object(module, "os", system))
        patches.enter_context(patch.object(posix, "fcntl", _InThisThread(_Fcntl(), fcntl)))
        if on_windows:
            patches.enter_context(windows(_Os(), lambda there: _InThisThread(there, os)))
        # What is locked here is nothing that a forked child of the tests would have to close.
        patches.enter_context(patch.object(directory, "_locked", SimpleNamespace(lock=RLock(), directories=set())))
        patches.enter_context(patch.object(mapped, "mmap", mapping))
        try:
            yield
        finally:
            for made in _maps:
                made.close()
            _maps.clear()
