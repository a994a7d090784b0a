"""How what was seen of a flow differs from what is declared."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from failpath_otel.flows.known_keys import KnownKeys, Mistake
from failpath_otel.flows.seen import SeenFlow

UNKNOWN_FLOW: Final = "unknown-flow"
UNKNOWN_STEP: Final = "unknown-step"
UNSEEN_STEP: Final = "unseen-step"
OTHER_ORDER: Final = "other-order"


class Drift(msgspec.Struct, frozen=True, rename="camel"):
    """One difference: its kind, in words, the step that it is about, and the key that may have been meant."""

    code: str
    message: str
    step_key: str | None = None
    suggestion: str | None = None


def drift_of(known: KnownKeys, edges: Iterable[tuple[str, str]], seen: SeenFlow) -> Iterator[Drift]:
    """Yield the differences of one flow.

    Args:
        known: the keys of all declared flows.
        edges: the declared edges of this one.
        seen: its runs. Where there are none, there is no difference.
    """
    if not seen.runs:
        return
    mistake = known.wrong_flow(seen.flow_key)
    if mistake is not None:
        yield Drift(UNKNOWN_FLOW, _seen_in(seen.runs, mistake), None, mistake.suggestion)
        return
    for step in seen.steps:
        mistake = known.wrong_step(step.step_key, [seen.flow_key])
        if mistake is not None:
            yield Drift(UNKNOWN_STEP, _seen_in(step.runs, mistake), step.step_key, mistake.suggestion)
    had = {step.step_key for step in seen.steps}
    for key in known.steps[seen.flow_key]:
        if key not in had:
            text = f"step {key!r} of {seen.flow_key!r} was in none of {_runs(seen.runs)}"
            yield Drift(UNSEEN_STEP, text, key)
    after = _descendants(edges)
    for edge in seen.edges:
        # Steps that no way connects have no order, and those of a loop any.
        if edge.source in after.get(edge.target, ()) and edge.target not in after.get(edge.source, ()):
            text = (
                f"{edge.source!r} came before {edge.target!r} in {_runs(edge.runs)} of {seen.flow_key!r};"
                " the graph has them the other way round"
            )
            yield Drift(OTHER_ORDER, text, edge.source)


def _seen_in(runs: int, mistake: Mistake) -> str:
    return f"seen in {_runs(runs)}: {mistake.text}"


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _descendants(edges: Iterable[tuple[str, str]]) -> dict[str, Collection[str]]:
    """Return the steps that come after each step."""
    following: dict[str, list[str]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    found: dict[str, Collection[str]] = {}
    for source, targets in following.items():
        after: set[str] = set()
        waiting = list(targets)
        while waiting:
            step = waiting.pop()
            if step not in after:
                after.add(step)
                waiting += following.get(step, ())
        found[source] = after
    return found
