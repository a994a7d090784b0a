"""The budget of a request: how many of its parts, not bytes, are read (decision 0022)."""

from failpath_otel import limits


class TooManyPartsError(Exception):
    """A span has more parts than the limit of a span, or than its request has left; the text says which."""


class ReadingBudget:
    """The parts of a request that may still be read: attributes, events, and values in lists and mappings.

    Parts are taken before they are read; all parts of a list at once.
    """

    __slots__ = ("_floor", "_left", "_span_limit")

    def __init__(self) -> None:
        self._left = limits.MAX_REQUEST_PARTS
        self._span_limit = limits.MAX_SPAN_PARTS
        self._floor = 0

    def begin(self, parts: int) -> None:
        """Begin a span or a resource, and take parts for it as :meth:`take` does."""
        # A whole span's limit must be left in the request: so `take` needs one comparison.
        self._floor = floor = self._left - self._span_limit
        if floor < 0 or parts > self._span_limit:
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
