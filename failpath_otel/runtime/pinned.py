"""Objects that are not freed before they may be, not even at the end of the interpreter."""

from typing import Any

import msgspec


class Pinned(msgspec.Struct, gc=False):
    """Keeps an object for ever, or until :meth:`release`: it holds itself, which no garbage collection sees."""

    kept: Any
    _itself: "Pinned | None" = None

    def __post_init__(self) -> None:
        """Begins to hold itself."""
        self._itself = self

    def release(self) -> None:
        """Lets go of the object, which ends when nothing else holds it."""
        self._itself = None
