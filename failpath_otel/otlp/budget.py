"""Bounds how much of a request is read, in parts and not in bytes: decision 0022."""

from failpath_otel import limits


class TooManyPartsError(Exception):
    """A span has more parts than are read of one, or than its request has left; the text says which."""


class ReadingBudget:
    """The parts of a request that may still be read: attributes, events, and values in lists and mappings.

    Parts are taken before they are read, those of a list at once.
    """

    __slots__ = ("_floor", "_left", "_of_span")

    def __init__(self) -> None:
        self._left = limits.MAX_REQUEST_PARTS
        self._of_span = limits.MAX_SPAN_PARTS
        self._floor = 0

    def begin(self, parts: int) -> None:
        """Begin a span or a resource, and take parts for it as :meth:`take` does."""
        # All that a span may have must be left, which saves a comparison for each part.
        self._floor = floor = self._left - self._of_span
        if floor < 0 or parts > self._of_span:
            self._refuse()
        self._left -= parts

    def take(self, parts: int) -> None:
        """Take more parts. Raise :class:`TooManyPartsError`, and take none, if fewer are left."""
        if self._left - parts < self._floor:
            self._refuse()
        self._left -= parts

    def _refuse(self) -> None:
        if self._floor >= 0:
            msg = f"it has more than {limits.MAX_SPAN_PARTS} attributes, events, and values in lists"
        else:
            msg = f"the spans before it have used up the {limits.MAX_REQUEST_PARTS} attributes of a request"
        raise TooManyPartsError(msg)
