"""Where a journal is."""

from typing import NamedTuple


class JournalLocation(NamedTuple):
    """The journal directory, and the binding: a hash of project key and endpoint."""

    path: str
    binding: str
