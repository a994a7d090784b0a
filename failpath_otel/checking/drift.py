"""Findings about what a local receiver has seen, against declared flows."""

from collections.abc import Iterable, Iterator

from failpath_otel.checking.files.place import Place
from failpath_otel.checking.finding import UNSEEN_FLOW, Finding
from failpath_otel.flows.drift import UNKNOWN_FLOW, UNKNOWN_STEP, drift_of
from failpath_otel.flows.flow import Flow
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.seen import SeenFlow


def drift(flows: Iterable[Flow], seen: Iterable[SeenFlow], url: str) -> Iterator[Finding]:
    """Yield how what was seen differs from ``flows``: keys that are not declared are errors, all else are warnings."""
    declared = {flow.slug: flow for flow in flows}
    known = KnownKeys.of(declared.values())
    place = Place(url)
    had: set[str] = set()
    for each in seen:
        had.add(each.flow_key)
        flow = declared.get(each.flow_key)
        for found in drift_of(known, () if flow is None else flow.edges, each):
            is_error = found.code in {UNKNOWN_FLOW, UNKNOWN_STEP}
            yield Finding(
                place,
                "error" if is_error else "warning",
                found.code,
                found.message,
                each.flow_key,
                found.step_key,
                found.suggestion,
            )
    for key in declared:
        if key not in had:
            yield Finding(place, "warning", UNSEEN_FLOW, f"no run of flow {key!r} was seen", key)
