"""Objects that stay in memory until they are released, even at the end of the interpreter."""

from typing import Any

import msgspec


class Pinned(msgspec.Struct, gc=False):
    """Keeps an object until :meth:`release`: it refers to itself in a way that the garbage collector does not see."""

    kept: Any
    _itself: "Pinned | None" = None

    def __post_init__(self) -> None:
        """Begin to refer to itself."""
        self._itself = self

    def release(self) -> None:
        """Stop referring to itself; the object is freed when nothing else refers to it."""
        self._itself = None
