"""A range of time, by the newest activity of runs."""

from typing import Final, NamedTuple


class TimeRange(NamedTuple):
    """From ``since`` up to, and not including, ``until``: microseconds since the epoch, ``None`` for no limit."""

    since: int | None = None
    until: int | None = None

    @property
    def conditions(self) -> list[str]:
        """What it asks of a row, as SQL; its :attr:`values` belong to that."""
        found = [] if self.since is None else ["active_at >= ?"]
        return found if self.until is None else [*found, "active_at < ?"]

    @property
    def values(self) -> list[int]:
        """The values of the :attr:`conditions`."""
        return [at for at in self if at is not None]


ALL_TIME: Final = TimeRange()
"""The range without limits."""
