"""A flow as its runs alone show it, whatever a file declares."""

from failpath_otel.flows.seen import SeenEdge, SeenFlow, SeenStep
from failpath_otel.local.flows.flows import FlowDetails


def seen_flow(flow_key: str, details: FlowDetails) -> SeenFlow:
    """Return what the runs in ``details`` show."""
    shape, stats = details.observed, details.steps
    steps = [SeenStep(node.step_key, stats[node.step_key].runs) for node in shape.nodes if node.step_key in stats]
    edges = [SeenEdge(edge.source, edge.target, edge.taken) for edge in shape.edges]
    return SeenFlow(flow_key, len(details.runs), steps, edges)
