"""A flow as each of its runs shows it, whatever a file declares."""

from failpath_otel.flows.seen import SeenEdge, SeenFlow, SeenStep
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.shape import observed_edges_of


def seen_flow(flow_key: str, details: FlowDetails) -> SeenFlow:
    """Return what the runs in ``details`` show."""
    stats = details.steps
    keys = dict.fromkeys(key for run in details.seen for key in run.step_keys)
    steps = [SeenStep(key, stats[key].runs) for key in keys if key in stats]
    edges = [SeenEdge(edge.source, edge.target, edge.taken) for edge in observed_edges_of(details.seen)]
    return SeenFlow(flow_key, len(details.runs), steps, edges)
