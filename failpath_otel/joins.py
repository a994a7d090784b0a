"""Which tracer providers were joined, by what, and since when."""

import weakref
from collections.abc import Callable
from time import time_ns
from typing import Final, Generic, TypeVar

from opentelemetry.trace import TracerProvider

from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RLock

_JoinT = TypeVar("_JoinT")


class Joins(Generic[_JoinT]):
    """The join of each provider that has one, found by identity: a provider need not be hashable (Logfire's is not)."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[weakref.ref[TracerProvider], _JoinT, int]] = {}

    def get(self, provider: TracerProvider) -> _JoinT | None:
        """The join of ``provider``."""
        found = self._by_id.get(id(provider))
        return found[1] if found is not None and found[0]() is provider else None

    def since(self, provider: TracerProvider) -> int | None:
        """When ``provider`` was joined, in nanoseconds since the epoch; ``None`` where it was not."""
        found = self._by_id.get(id(provider))
        return found[2] if found is not None and found[0]() is provider else None

    def put(self, provider: TracerProvider, join: _JoinT, collected: Callable[[], object]) -> None:
        """Remembers that ``provider`` is joined from now on, as long as it lives; then the collector calls a function.

        Args:
            provider: what is joined.
            join: by what.
            collected: must not wait for anything.
        """
        key = id(provider)

        def forget(gone: "weakref.ref[TracerProvider]") -> None:
            found = self._by_id.get(key)
            if found is not None and found[0] is gone:
                del self._by_id[key]
                collected()

        self._by_id[key] = (weakref.ref(provider, forget), join, time_ns())


class Registry(Generic[_JoinT]):
    """The joins of this process: one a provider, and one for whatever the global provider is."""

    def __init__(self) -> None:
        self.joins: Final[Joins[_JoinT]] = Joins()
        self.default: _JoinT | None = None
        self._unlock()
        after_fork_in_child(self._unlock)

    def _unlock(self) -> None:
        # Another thread may have held it when the process was forked, and does not exist in the child.
        self.lock = RLock()
