"""Operating system threads and locks, even if gevent has replaced those of Python (decision 0017).

``gevent.monkey.patch_all()`` may run before this package is imported, after it, or during a delivery. So every thread
and lock of this package is a real one, bound here once. Waits on threads of the application let other greenlets run.

eventlet's locks, which logging uses, do not work between real threads: if it has patched before this module is
imported, threads and locks are eventlet's.
"""

import _thread
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any, Final

_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_WAIT_DIVISOR: Final = 8
"""A greenlet checks again after this fraction of the time that it has waited."""


def _eventlet() -> Any:  # noqa: ANN401 - has no types
    """Return eventlet if it has patched threads."""
    is_patched = getattr(sys.modules.get("eventlet.patcher"), "is_monkey_patched", None)  # none while it is imported
    return sys.modules["eventlet"] if is_patched is not None and is_patched("thread") else None


def _gevent() -> Any:  # noqa: ANN401 - has types only where it is installed
    """Return gevent if it has patched threads or what they wait for."""
    is_patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)  # as above
    patched = is_patched is not None and any(map(is_patched, ("threading", "time", "socket")))
    return sys.modules["gevent"] if patched else None


def is_gevent_patched() -> bool:
    """Return whether gevent has patched this process by now."""
    return _gevent() is not None


def has_gil() -> bool:
    """Return whether no other thread comes in between while a call of a built-in function, or a bytecode, is run.

    Never with a free-threaded build (decision 0037): there, the GIL may be enabled for an import only.
    """
    return sys.implementation.name == "cpython" and "free-threading build" not in sys.version


HAS_GREEN_THREADS: Final = _eventlet() is not None
"""The threads of this package are green threads."""


def unpatched(module: str, name: str) -> Any:  # noqa: ANN401 - whatever it is
    """Return what Python has under this name, without gevent's patch."""
    get_original = getattr(sys.modules.get("gevent.monkey"), "get_original", None)
    return getattr(import_module(module), name) if get_original is None else get_original(module, name)


_start_new_thread: Final = unpatched("_thread", "start_new_thread")
_ONCE: Final = (True,)


class _WholeRLock(_thread.RLock):  # type: ignore[misc]  # typed as final, which it is not
    """A lock that ``with`` has either taken and will release, or has not taken, whatever a signal handler raises.

    In CPython 3.14 a handler may run once the lock is taken, and before ``with`` would release it (decision 0004). None
    runs as an iterator is unpacked, nor as a function returns.
    """

    def __enter__(self) -> bool:  # type: ignore[override]  # never called with arguments
        """Take the lock."""
        (taken,) = map(self.acquire, _ONCE)
        return taken


def _real_rlock() -> Any:  # noqa: ANN401 - either class
    return _WholeRLock if sys.version_info[:2] == (3, 14) else _thread.RLock


RLock: Final = threading.RLock if HAS_GREEN_THREADS else _real_rlock()
Lock: Final = unpatched("_thread", "allocate_lock")
get_ident: Final = unpatched("_thread", "get_ident")
sleep: Final = unpatched("time", "sleep")

_real_threads: Final[set[tuple[int, int]]] = set()  # process and identifier of each that runs


class RealThread(threading.Thread):
    """A daemon thread of the operating system, never a greenlet."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self._running_on: int | None = None
        self._known = False

    def start(self) -> None:
        """Start it; do not wait until it runs if that would be a wait for a greenlet.

        Raises:
            RuntimeError: the interpreter is ending, or no thread can be started.
        """
        self._known = not _new_threads_are_green()
        if self._known:
            try:
                super().start()
            except KeyError as error:
                # A signal handler raised as the thread began: Python removes it from a table twice.
                raise error.__context__ or error from None
        else:
            _start_new_thread(self.run, ())

    def run(self) -> None:
        """Run the work on the new thread."""
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
                # Python would look for the thread among greenlets, and print an error.
                never = Lock()
                never.acquire()
                never.acquire()

    def is_current(self) -> bool:
        """Return whether the caller runs on this thread."""
        return bool(self._running_on == get_ident())


def _destroy_gevent_loop() -> None:
    """Destroy gevent's event loop of this thread, which a user's callback or a lock of logging may have created.

    No public name shows whether there is one without creating it.
    """
    find = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    loop = None if find is None else find()
    if loop is not None:
        # Destroying a loop that has never run crashes the process.
        sys.modules["gevent"].sleep(0)
        loop.destroy()


def _new_threads_are_green() -> bool:
    """Return whether threads that start now are green threads."""
    return _thread.start_new_thread is not _start_new_thread


class OneShotEvent:
    """Set once, on any thread, and waited for on one other thread. A greenlet that waits lets others run."""

    def __init__(self) -> None:
        self._is_set = False
        # The locks of an event are not reentrant, and the wait for a queue may not end where signals come: Python
        # computes what is left of the timeout, and takes a negative rest for no timeout.
        self._unset: Any = Lock()
        self._unset.acquire()

    def set(self) -> None:
        """End the wait."""
        self._is_set = True
        self._unset.release()

    def wait(self, seconds: float) -> bool:
        """Wait at most *seconds*; return whether it was set."""
        if _cooperative_sleep() is None:
            if not self._is_set:
                self._unset.acquire(timeout=max(seconds, 0.0))
        else:
            _poll_until(lambda: self._is_set, seconds)
        return self._is_set


def acquire(lock: Any, seconds: float) -> bool:  # noqa: ANN401 - either kind
    """Acquire *lock* within *seconds*, during which other greenlets run; return whether that was possible."""
    if seconds <= 0 or _cooperative_sleep() is None:
        return bool(lock.acquire(timeout=max(seconds, 0.0)))
    return _poll_until(lambda: lock.acquire(blocking=False), seconds)


def is_held_here(lock: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether this thread holds a reentrant lock, in a call that a signal handler or a finaliser interrupts."""
    try:
        threading.Condition(lock).notify()  # the one public call that shows it: it raises if the lock is not held
    except RuntimeError:
        return False
    return True


def sleep_cooperatively(seconds: float) -> None:
    """Sleep on a thread of the application; other greenlets run meanwhile."""
    (_cooperative_sleep() or sleep)(seconds)


def can_block() -> bool:
    """Return whether a wait can end here: not in gevent's hub greenlet, in which all others wait for events."""
    gevent = _gevent()
    return gevent is None or not isinstance(gevent.getcurrent(), gevent.hub.Hub)


def _cooperative_sleep() -> Callable[[float], object] | None:
    """Return the sleep that lets other greenlets run; ``None`` without greenlets, or on a thread of this package."""
    if not HAS_GREEN_THREADS and (os.getpid(), get_ident()) in _real_threads:
        return None
    library = _gevent() or _eventlet()
    return None if library is None else library.sleep


def _poll_until(is_over: Callable[[], bool], seconds: float) -> bool:
    """Wait for another thread without the waits of gevent and eventlet, which are for greenlets of the same thread."""
    pause = _cooperative_sleep() or sleep
    began = monotonic()
    while not is_over():
        waited = monotonic() - began
        if waited >= seconds:
            return False
        wanted = min(max(waited / _WAIT_DIVISOR, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        pause(min(wanted, seconds - waited))
    return True
