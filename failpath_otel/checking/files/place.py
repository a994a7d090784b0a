"""A place in a file."""

from typing import NamedTuple


class Place(NamedTuple):
    """A place in a file; of what is about a whole file there is no line."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return the place as editors and terminals can follow it."""
        return ":".join(str(part) for part in self if part is not None)
