"""Which tracer providers were joined, and when."""

import weakref
from collections.abc import Callable
from time import time_ns
from typing import Final, Generic, TypeVar

from opentelemetry.trace import TracerProvider

from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock

_JoinT = TypeVar("_JoinT")


class Joins(Generic[_JoinT]):
    """The join of each joined provider, found by identity: a provider, like that of Logfire, may be unhashable."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[weakref.ref[TracerProvider], _JoinT, int]] = {}

    def get(self, provider: TracerProvider) -> _JoinT | None:
        """Return the join of ``provider``."""
        found = self._by_id.get(id(provider))
        return found[1] if found is not None and found[0]() is provider else None

    def since(self, provider: TracerProvider) -> int | None:
        """Return when ``provider`` was joined, in nanoseconds since the epoch; ``None``: never."""
        found = self._by_id.get(id(provider))
        return found[2] if found is not None and found[0]() is provider else None

    def put(self, provider: TracerProvider, join: _JoinT, collected: Callable[[], object]) -> None:
        """Store that ``provider`` is joined from now on, for as long as it lives.

        Args:
            provider: the joined provider.
            join: its join.
            collected: called when ``provider`` is garbage collected; must not wait for anything.
        """
        key = id(provider)

        def forget(gone: "weakref.ref[TracerProvider]") -> None:
            found = self._by_id.get(key)
            if found is not None and found[0] is gone:
                del self._by_id[key]
                collected()

        self._by_id[key] = (weakref.ref(provider, forget), join, time_ns())


class Registry(Generic[_JoinT]):
    """The joins of this process: one a provider, and one for the global provider, whichever it is."""

    def __init__(self) -> None:
        self.joins: Final[Joins[_JoinT]] = Joins()
        self.default: _JoinT | None = None
        self._unlock()
        after_fork_in_child(self._unlock)

    def _unlock(self) -> None:
        # Another thread, which does not exist in the child, may have held it at the fork.
        self.lock = RLock()
