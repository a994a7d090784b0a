"""Flows as seen in their runs, for ``/api/flows``."""

from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.flows.seen import SeenFlow, SeenFlows
from failpath_otel.local.flows.observed import seen_flow
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS


def flows_after(receiver: Receiver, after: str, limit: int) -> SeenFlows:
    """Return up to ``limit`` flows that have runs, in the order of their keys, from the one behind ``after``."""
    receiver.catch_up()
    keys = [key for key in receiver.store.runs.flow_keys() if key > after and key not in {TEST_FLOW, *SAMPLE_FLOWS}]
    found: list[SeenFlow] = []
    for key in keys[:limit]:
        details = receiver.flows.details(key)
        if details.runs:
            found.append(seen_flow(key, details))
    return SeenFlows(found, keys[limit - 1] if len(keys) > limit else None)
