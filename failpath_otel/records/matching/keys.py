"""The keys that one rule makes: valid ones, and not too many."""

from collections.abc import Callable
from itertools import count
from typing import Final, NamedTuple

from failpath_otel import limits
from failpath_otel.records.matching.values import usable_text
from failpath_otel.report import warn
from failpath_otel.scrubbing.values import clean_text

OTHER: Final = "other"
"""The key in place of one that is unusable, or one too many."""


class Names(NamedTuple):
    """The flow and the step that a span belongs to."""

    flow: str
    step: str


class KeyLog:
    """Says once what becomes of the keys of one rule.

    Args:
        rule: names the rule.
    """

    def __init__(self, rule: str) -> None:
        self._rule: Final = rule
        self._logged: Final[set[str]] = set()

    def unusable(self) -> None:
        """Say that a key is unusable, the first time."""
        self._once("an attribute or a wildcard is missing, too long, not printable or looks like a secret")

    def too_many(self, max_keys: int) -> None:
        """Say that there are too many keys, the first time."""
        self._once("it has made %d different keys (max_keys)", max_keys)

    def too_many_of(self, max_keys: int, service: str, *, is_last: bool) -> None:
        """Say that there are too many keys of one service, which is the last one that is named or not."""
        shown = clean_text(service, limits.MAX_KEY_CHARS)
        more = "; no further services are named here" if is_last else ""
        self._say("it has made %d different keys (max_keys) of spans of the service %r%s", max_keys, shown, more)

    def _once(self, reason: str, *arguments: object) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            self._say(reason, *arguments)

    def _say(self, reason: str, *arguments: object) -> None:
        text = f"Failpath: the rule for spans named %s makes the key %r, which is not logged again, because {reason}"
        warn(text, self._rule, OTHER, *arguments)


class BoundedKeys:
    """The keys that one rule has made so far. Used on any thread and inside of signal handlers, so without a lock.

    Args:
        max_keys: the most different pairs of a flow and a step.
        flow: the flow key, if it is fixed.
        step: the step key, if it is fixed.
        log: says what becomes of the keys of the rule.
        too_many: called for each key that is one too many.
    """

    __slots__ = ("_flow", "_known", "_log", "_max", "_overflow", "_step", "_tickets", "_too_many")

    def __init__(
        self, max_keys: int, flow: str | None, step: str | None, log: KeyLog, too_many: Callable[[int], object]
    ) -> None:
        self._max: Final = max_keys
        self._flow: Final = flow
        self._step: Final = step
        self._log: Final = log
        self._too_many: Final = too_many
        self._overflow: Final = Names(flow or OTHER, step or OTHER)
        self._known: Final[dict[tuple[str, str], Names]] = {}
        self._tickets: Final = count()  # each is given to one thread

    def __len__(self) -> int:
        return len(self._known)

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
        self._too_many(self._max)
        return self._overflow

    def _usable(self, text: str | None) -> str:
        usable = usable_text(text or "", limits.MAX_KEY_CHARS)
        if not usable:
            self._log.unusable()
        return usable or OTHER
