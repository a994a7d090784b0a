"""For whom an error is: a value of the metadata that nearly all of its runs have, and most others of the flow not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from math import log
from typing import Final

from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange
from failpath_otel.local.trends.cause import Common

FEWEST: Final = 4
"""The fewest runs with an error that have anything in common but by chance."""

_FEWEST_OTHERS: Final = 10
_SAMPLE: Final = 200
"""The most runs with an error, and the most others, the newest of each, that are compared."""

_NEARLY_ALL: Final = 0.9
_FEW_OTHERS: Final = 0.5
_EVIDENCE: Final = 6.9
"""The least evidence against chance, as a natural logarithm: one in a thousand for one value."""


class Whom:
    """Compares the runs of errors with others of their flow, which are read once a flow."""

    def __init__(self, store: Store) -> None:
        self._errors = store.errors
        self._good = cache(lambda flow_key: store.flows.good_pairs(flow_key, _SAMPLE))

    def common(self, flow_key: str, fingerprint: str, within: TimeRange = ALL_TIME) -> Common | None:
        """Return what nearly all runs with an error have in common, and most good runs of the flow have not."""
        failed = self._errors.pairs(fingerprint, _SAMPLE, within)
        others = [pairs for run_id, pairs in self._good(flow_key) if run_id not in failed]
        return common_of(failed.values(), others)


def common_of(runs: Iterable[Sequence[str]], others: Sequence[Sequence[str]]) -> Common | None:
    """Return the pair that sets runs apart from others, if there is one; a run's pairs are all different."""
    own = list(runs)
    if len(own) < FEWEST or len(others) < _FEWEST_OTHERS:
        return None
    in_others = Counter(pair for pairs in others for pair in pairs)
    found: list[tuple[float, str, int]] = []
    for pair, number in Counter(pair for pairs in own for pair in pairs).items():
        share, other = number / len(own), in_others[pair] / len(others)
        chance = (in_others[pair] + 1) / (len(others) + 2)
        if share >= _NEARLY_ALL and other <= _FEW_OTHERS and len(own) * _distance(share, chance) >= _EVIDENCE:
            found.append((other - share, pair, number))
    if not found:
        return None
    # Of two that differ equally, as a customer and its region may, the first in the alphabet: always the same one.
    _, pair, number = min(found)
    key, _, value = pair.partition("=")
    return Common(key, value, number, len(own))


def _distance(share: float, chance: float) -> float:
    """Return how unlikely a share is by chance, as a logarithm a run (the divergence of Kullback and Leibler)."""
    rest = (1 - share) * log((1 - share) / (1 - chance)) if share < 1 else 0.0
    return share * log(share / chance) + rest
