"""The keys of the declared flows: which ones are wrong, and which were probably meant."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from failpath_otel import limits
from failpath_otel.flows.flow import Flow

_CLOSE: Final = 0.6
_MOST_COMPARED: Final = 1_000
"""Keys among which one that was meant is looked for: in a running program, a step waits for that."""


class Mistake(NamedTuple):
    """A key that is not declared: what is wrong with it, in words, and the key that was probably meant."""

    text: str
    suggestion: str | None = None


class KnownKeys:
    """The step keys that are declared, by flow key.

    Args:
        steps: the step keys of each flow.
    """

    def __init__(self, steps: Mapping[str, Iterable[str]]) -> None:
        self.steps: Final[Mapping[str, Collection[str]]] = {key: dict.fromkeys(keys) for key, keys in steps.items()}

    @staticmethod
    def of(flows: Iterable[Flow]) -> "KnownKeys":
        """Return the keys of ``flows``."""
        return KnownKeys({flow.slug: [node.key for node in flow.nodes] for flow in flows})

    def wrong_flow(self, flow_key: str) -> Mistake | None:
        """Return what is wrong with a flow key; ``None``: it is declared."""
        if flow_key in self.steps:
            return None
        close = _closest(flow_key, self.steps)
        return Mistake(f"there is no flow {_shown(flow_key)}{_did_you_mean(close)}", close)

    def wrong_step(self, step_key: str, flow_keys: Iterable[str] = ()) -> Mistake | None:
        """Return what is wrong with a step key of a run that is of one of these flows, or of any where there are none.

        Of a flow that is not declared nothing is known.
        """
        flows = sorted(key for key in set(flow_keys) if key in self.steps)
        if any(step_key in self.steps[key] for key in flows or self.steps):
            return None
        if not flows:
            close = _closest(step_key, {key for keys in self.steps.values() for key in keys})
            where = "" if close is None else f" of {_named(self._having(close))}"
            text = f"no flow has a step {_shown(step_key)}"
            return Mistake(f"{text}; did you mean {close!r}{where}?" if close else text, close)
        which = f"flow {flows[0]!r} has" if len(flows) == 1 else f"flows {_named(flows)} have"
        text = f"{which} no step {_shown(step_key)}"
        elsewhere = self._having(step_key)
        if elsewhere:
            return Mistake(f"{text}; it is a step of {_named(elsewhere)}")
        close = _closest(step_key, {key for flow in flows for key in self.steps[flow]})
        return Mistake(f"{text}{_did_you_mean(close)}", close)

    def _having(self, step_key: str) -> list[str]:
        return [key for key, steps in self.steps.items() if step_key in steps]


def _shown(key: str) -> str:
    """Return a key as it is quoted: of one that is too long the beginning."""
    return repr(key) if len(key) <= limits.MAX_KEY_CHARS else f"{key[: limits.MAX_KEY_CHARS]!r}…"


def _named(keys: Iterable[str]) -> str:
    *first, last = map(repr, keys)
    return f"{', '.join(first)} and {last}" if first else last


def _did_you_mean(key: str | None) -> str:
    return "" if key is None else f"; did you mean {key!r}?"


def _closest(key: str, keys: Iterable[str]) -> str | None:
    if len(key) > limits.MAX_KEY_CHARS:  # which no declared one is
        return None
    # Imported on use: most keys are right.
    from difflib import get_close_matches  # noqa: PLC0415

    # Case apart, because it is what differs where a key was written by hand; in order, so that one key is found always.
    candidates = sorted(keys, reverse=True)
    if len(candidates) > _MOST_COMPARED:
        return None
    by_form = {each.lower().replace("_", "-"): each for each in candidates}
    close = get_close_matches(key.lower().replace("_", "-"), sorted(by_form), 1, _CLOSE)
    return by_form[close[0]] if close else None
