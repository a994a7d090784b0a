"""Threads of the operating system and what they share, also where gevent has made green threads of all others.

``gevent.monkey.patch_all()`` may come before this package, after it, or in the midst of a delivery: gunicorn calls it
in workers that were forked from a process that is set up. So each thread that this package starts is a real one, and so
are its locks: bound here, once, to what Python has. Greenlets run while such a thread sends, and real locks are held
only where no greenlet is switched. What waits on a thread of the application lets other greenlets run meanwhile.

eventlet's locks do not work between real threads, and logging has such locks. Where it has patched before this was
imported, threads and locks are eventlet's.
"""

import _thread
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from queue import Empty
from time import monotonic
from typing import Any, Final

_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_WAIT_DIVISOR: Final = 8
"""A greenlet that has waited for a while looks again after this part of that."""


def _eventlet() -> Any:  # noqa: ANN401 - has no types
    """Eventlet, if it has patched threads."""
    is_patched = getattr(sys.modules.get("eventlet.patcher"), "is_monkey_patched", None)  # none while it is imported
    return sys.modules["eventlet"] if is_patched is not None and is_patched("thread") else None


def _gevent() -> Any:  # noqa: ANN401 - has types only where it is installed
    """gevent, if it has patched threads or what they wait for."""
    is_patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)  # as above
    patched = is_patched is not None and any(map(is_patched, ("threading", "time", "socket")))
    return sys.modules["gevent"] if patched else None


def is_gevent_patched() -> bool:
    """Whether gevent has patched this process by now."""
    return _gevent() is not None


HAS_GREEN_THREADS: Final = _eventlet() is not None
"""Whether the threads here are green ones."""


def unpatched(module: str, name: str) -> Any:  # noqa: ANN401 - whatever it is
    """What Python has under this name."""
    get_original = getattr(sys.modules.get("gevent.monkey"), "get_original", None)
    return getattr(import_module(module), name) if get_original is None else get_original(module, name)


_start_new_thread: Final = unpatched("_thread", "start_new_thread")
RLock: Final = threading.RLock if HAS_GREEN_THREADS else _thread.RLock
Lock: Final = unpatched("_thread", "allocate_lock")
SimpleQueue: Final = unpatched("queue", "SimpleQueue")
get_ident: Final = unpatched("_thread", "get_ident")
sleep: Final = unpatched("time", "sleep")

_real_threads: Final[set[tuple[int, int]]] = set()  # the real threads that run, each with its process


class RealThread(threading.Thread):
    """A daemon thread that never is a greenlet."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self._running_on: int | None = None
        self._known = False

    def start(self) -> None:
        """Starts it, and does not wait until it runs where that would be a wait for a greenlet.

        Raises:
            RuntimeError: the interpreter is ending, or there are no threads left.
        """
        self._known = not _new_threads_are_green()
        if self._known:
            try:
                super().start()
            except KeyError as error:
                # What a signal handler has raised as it began: Python then takes it out of a table, as it does itself.
                raise error.__context__ or error from None
        else:
            _start_new_thread(self.run, ())

    def run(self) -> None:
        """Works, on the new thread."""
        self._running_on = get_ident()
        here = os.getpid(), get_ident()
        _real_threads.add(here)
        try:
            super().run()
        finally:
            self._running_on = None
            _real_threads.discard(here)
            _destroy_gevent_loop()
            if self._known and _new_threads_are_green():
                # Python would look for it among greenlets, and complain: this one thread, which has begun before the
                # patch, is not worth that.
                never = Lock()
                never.acquire()
                never.acquire()

    def is_current(self) -> bool:
        """Whether this is called on it."""
        return bool(self._running_on == get_ident())


def _destroy_gevent_loop() -> None:
    """Destroys gevent's event loop of this thread, if a callback of the user's or a lock of logging has begun one.

    No public name tells whether there is one, without making it.
    """
    find = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    loop = None if find is None else find()
    if loop is not None:
        # One that has never run would let the process end by a segmentation fault.
        sys.modules["gevent"].sleep(0)
        loop.destroy()


def _new_threads_are_green() -> bool:
    """Whether other threads that begin now are no real ones."""
    return _thread.start_new_thread is not _start_new_thread


class OneShotEvent:
    """Given once, on any thread, and waited for on one other; a wait of a greenlet does not hold up the others."""

    def __init__(self) -> None:
        self._is_set = False
        self._queue: Any = SimpleQueue()  # an event has locks that cannot be taken again by a signal handler

    def set(self) -> None:
        """Ends the wait."""
        self._is_set = True
        self._queue.put(None)

    def wait(self, seconds: float) -> bool:
        """Waits at most so long; returns whether it was given."""
        if _cooperative_sleep() is None:
            try:
                if not self._is_set:
                    self._queue.get(timeout=max(seconds, 0.0))
            except Empty:
                pass
        else:
            _poll_until(lambda: self._is_set, seconds)
        return self._is_set


def acquire(lock: Any, seconds: float) -> bool:  # noqa: ANN401 - either kind
    """Takes a lock, after at most so many seconds, in which other greenlets run; returns whether it was possible."""
    if seconds <= 0 or _cooperative_sleep() is None:
        return bool(lock.acquire(timeout=max(seconds, 0.0)))
    return _poll_until(lambda: lock.acquire(blocking=False), seconds)


def is_held_here(lock: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether this thread holds a reentrant lock, in a call that a signal handler or a finaliser interrupts."""
    try:
        threading.Condition(lock).notify()  # the one public call that tells: it raises where the lock is not held
    except RuntimeError:
        return False
    return True


def sleep_cooperatively(seconds: float) -> None:
    """Sleeps on a thread of the application, where other greenlets may run meanwhile."""
    (_cooperative_sleep() or sleep)(seconds)


def can_block() -> bool:
    """Whether a wait can come to an end here: not in gevent's own greenlet, in which all others wait for events."""
    gevent = _gevent()
    return gevent is None or not isinstance(gevent.getcurrent(), gevent.hub.Hub)


def _cooperative_sleep() -> Callable[[float], object] | None:
    """What lets other greenlets run; ``None`` where there are only threads, or on one of ours, which has no others."""
    if not HAS_GREEN_THREADS and (os.getpid(), get_ident()) in _real_threads:
        return None
    library = _gevent() or _eventlet()
    return None if library is None else library.sleep


def _poll_until(is_over: Callable[[], bool], seconds: float) -> bool:
    """Waits for another thread, without what gevent and eventlet have to wait for greenlets of the same one."""
    pause = _cooperative_sleep() or sleep
    began = monotonic()
    while not is_over():
        waited = monotonic() - began
        if waited >= seconds:
            return False
        wanted = min(max(waited / _WAIT_DIVISOR, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        pause(min(wanted, seconds - waited))
    return True
