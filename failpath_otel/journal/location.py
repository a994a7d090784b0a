"""Where a journal is."""

from typing import NamedTuple


class JournalLocation(NamedTuple):
    """Where a journal is, and of whom its records are."""

    path: str
    binding: str
