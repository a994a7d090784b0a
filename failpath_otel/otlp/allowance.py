"""How much of a request is read: what a message costs is processor time, however few bytes it has."""

from failpath_otel import limits


class TooManyParts(Exception):  # noqa: N818 - says what the span or the request is
    """A span has more parts than are read of one, or than are left of its request; the text says which."""


class Allowance:
    """The parts of a request that may still be read: attributes, events, and values in lists and mappings.

    16 MiB have room for eight million empty ones. Parts are taken before they are read, those of a list at once.
    """

    __slots__ = ("_floor", "_left", "_of_span")

    def __init__(self) -> None:
        self._left = limits.MAX_REQUEST_PARTS
        self._of_span = limits.MAX_SPAN_PARTS
        self._floor = 0

    def begin(self, parts: int) -> None:
        """Begins a span, or a resource, by taking parts of it as :meth:`take` does."""
        # The whole of what a span may have has to be left, which spares a comparison for each.
        self._floor = floor = self._left - self._of_span
        if floor < 0 or parts > self._of_span:
            self._refuse()
        self._left -= parts

    def take(self, parts: int) -> None:
        """Takes more parts of it. Raises :class:`TooManyParts`, and takes none, where so many are not left."""
        if self._left - parts < self._floor:
            self._refuse()
        self._left -= parts

    def _refuse(self) -> None:
        if self._floor >= 0:
            msg = f"it has more than {limits.MAX_SPAN_PARTS} attributes, events, and values in lists"
        else:
            msg = f"the spans before it have used up the {limits.MAX_REQUEST_PARTS} attributes of a request"
        raise TooManyParts(msg)
