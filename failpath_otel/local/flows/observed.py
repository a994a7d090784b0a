"""A flow as its runs alone show it, whatever a file declares."""

from failpath_otel.flows.seen import SeenEdge, SeenFlow, SeenStep
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.shape import shape_of


def seen_flow(flow_key: str, details: FlowDetails) -> SeenFlow:
    """Return what the runs in ``details`` show."""
    runs = list(reversed(details.runs))
    shape = shape_of([run.attempts for run in runs], None, [run.edges for run in runs])
    return SeenFlow(
        flow_key,
        len(runs),
        [
            SeenStep(node.step_key, details.steps[node.step_key].runs)
            for node in shape.nodes
            if node.step_key in details.steps
        ],
        [SeenEdge(edge.source, edge.target, edge.taken) for edge in shape.edges],
    )
