"""The keys that one rule makes: valid ones, and not too many."""

from itertools import count
from typing import Final, NamedTuple

from failpath_otel import limits
from failpath_otel.records.matching.values import usable_text
from failpath_otel.report import warn

OTHER: Final = "other"
"""The key in place of one that is unusable, or one too many."""


class Names(NamedTuple):
    """The flow and the step that a span belongs to."""

    flow: str
    step: str


class BoundedKeys:
    """The keys that one rule has made so far. Used on any thread and inside of signal handlers, so without a lock.

    Args:
        max_keys: the most different pairs of a flow and a step.
        rule: names the rule in the log.
        flow: the flow key, if it is fixed.
        step: the step key, if it is fixed.
    """

    def __init__(self, max_keys: int, rule: str, flow: str | None, step: str | None) -> None:
        self._max: Final = max_keys
        self._rule: Final = rule
        self._flow: Final = flow
        self._step: Final = step
        self._overflow: Final = Names(flow or OTHER, step or OTHER)
        self._known: Final[dict[tuple[str, str], Names]] = {}
        self._tickets: Final = count()  # each is given to one thread
        self._logged: Final[set[str]] = set()

    def names(self, flow: str | None, step: str | None) -> Names:
        """Return the keys for what the templates have become, where ``None`` is one that could not be filled in."""
        found = self._known.get((flow or OTHER, step or OTHER))
        if found is not None:
            return found
        if len(self._known) < self._max:
            names = Names(self._flow or self._usable(flow), self._step or self._usable(step))
            found = self._known.get(names)
            if found is not None or names == self._overflow:
                return names
            if next(self._tickets) < self._max:
                return self._known.setdefault(names, names)
        self._log("it has made %d different keys (max_keys)", self._max)
        return self._overflow

    def _usable(self, text: str | None) -> str:
        usable = usable_text(text or "", limits.MAX_KEY_CHARS)
        if not usable:
            self._log("an attribute or a wildcard is missing, too long, not printable or looks like a secret")
        return usable or OTHER

    def _log(self, reason: str, *arguments: object) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            text = f"Failpath: the rule for spans named %s makes the key %r, from now on silently, where {reason}"
            warn(text, self._rule, OTHER, *arguments)
