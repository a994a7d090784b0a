"""The order of the list of flows: what needs eyes first, or by a column; and orders that clients hold on to."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from failpath_otel.local.board.board import NO_FIGURES, FlowFigures
from failpath_otel.local.liveness.liveness import Liveness

_MAX_KEPT: Final = 64
"""Orders that are kept for clients; the least recently used one is dropped."""

_MAX_KEPT_KEYS: Final = 500_000
"""The most flows of all these orders together; the last order is always kept."""

_MINUTE: Final = 60_000_000
_AGES: Final = (10 * _MINUTE, 24 * 60 * _MINUTE)
"""Where flows of the same need differ: active lately, within a day, earlier. Coarse, so that rows stay in place."""

_MANY: Final = 3
"""So many failures among the newest runs of a flow are more than one now and then."""

_UNSEEN: Final = len(_AGES) + 1


class _Listed(NamedTuple):
    """What an order looks at."""

    flow_key: str
    figures: FlowFigures
    counts: Mapping[Liveness, int]
    now: int


def _need(listed: _Listed) -> int:
    """Return how much a flow needs eyes; the least needs them most."""
    _, figures, counts, _ = listed
    if counts.get("gone"):
        return 0
    if counts.get("silent"):
        return 1
    if figures.is_worse:
        return 2
    failed = figures.newest_failed
    if failed >= _MANY:
        return 3
    if figures.failing:
        return 4
    return 5 if failed else 6


def _age(listed: _Listed) -> int:
    last_seen = listed.figures.last_seen
    return _UNSEEN if last_seen is None else sum(listed.now - last_seen > age for age in _AGES)


_COLUMNS: Final[dict[str, Callable[[_Listed], Any]]] = {
    "flow": lambda listed: listed.flow_key.casefold(),
    "runs": lambda listed: listed.figures.total,
    "failure-rate": lambda listed: listed.figures.stats.failure_rate,
    "p50": lambda listed: listed.figures.stats.p50_ms,
    "p95": lambda listed: listed.figures.stats.p95_ms,
    "now": lambda listed: sum(listed.counts.values()),
    "last-seen": lambda listed: listed.figures.last_seen,
}

PROBLEMS: Final = "problems"
SORTS: Final = (PROBLEMS, *_COLUMNS, *(f"-{column}" for column in _COLUMNS))
"""The names of all orders; one with a minus begins with the highest value."""


def ordered(
    flow_keys: Sequence[str],
    figures: Mapping[str, FlowFigures],
    counts: Mapping[str, Mapping[Liveness, int]],
    now: int,
    sort: str = PROBLEMS,
) -> list[str]:
    """Return the flows in an order out of :data:`SORTS`; where they are equal, by key. What has no value comes last."""
    listed = [_Listed(key, figures.get(key, NO_FIGURES), counts.get(key, {}), now) for key in sorted(flow_keys)]
    if sort == PROBLEMS:
        return [each.flow_key for each in sorted(listed, key=lambda each: (_need(each), _age(each)))]
    value = _COLUMNS[sort.removeprefix("-")]
    known = [each for each in listed if value(each) is not None]
    unknown = [each for each in listed if value(each) is None]
    # Stable, also in reverse.
    return [each.flow_key for each in [*sorted(known, key=value, reverse=sort.startswith("-")), *unknown]]


class Orders:
    """Orders under numbers, so that a list stays as it was shown while a user points at it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._kept: dict[int, list[str]] = {}  # least recently used first

    def hold(self, order: list[str], number: int | None) -> tuple[int, list[str]]:
        """Return the order under a number, with what is new in ``order`` at its end and without what is gone.

        Without a number, or for one that is not known any more, ``order`` itself, under a number for later.
        """
        with self._lock:
            held = None if number is None else self._kept.pop(number, None)
            if number is None or held is None:
                if self._kept.get(self._last) != order:
                    self._last += 1
                number, held = self._last, order
                self._kept.pop(number, None)
            elif held != order:
                present, known = set(order), set(held)
                held = [key for key in held if key in present] + [key for key in order if key not in known]
            self._kept[number] = held
            while len(self._kept) > _MAX_KEPT or (
                len(self._kept) > 1 and sum(map(len, self._kept.values())) > _MAX_KEPT_KEYS
            ):
                del self._kept[next(iter(self._kept))]
            return number, held
