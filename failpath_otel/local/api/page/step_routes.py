"""The steps that a node of a graph stands for, for the page."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.answers import figures_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.flows.statistics import StepStats
from failpath_otel.local.receiver import Receiver


class StepRow(StepStats, frozen=True):
    """One of these steps, with its own figures over the newest runs."""

    step_key: str
    label: str
    gone: int


class StepList(msgspec.Struct, frozen=True, rename="camel"):
    """The steps that were folded into one node, in the order of the flow."""

    revision: int
    now: str
    steps: list[StepRow]


class StepRoutes:
    """The route of the steps of a node."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [route("steps", self.steps)]

    def steps(self, request: Request) -> StepList:
        """Return the members of the node ``node`` in the graph of the flow ``flow``."""
        revision, now = heading(self._receiver)
        flow_key, node_key = (request.query_params.get(name, "") for name in ("flow", "node"))
        details = self._receiver.flows.details(flow_key)
        node = next((node for node in details.shape.nodes if node.step_key == node_key and node.members), None)
        if node is None:
            raise HTTPException(404, "no such node that stands for several steps")
        lost = details.count_gone(self._receiver.monitor.gone_steps(flow_key))
        rows = [
            StepRow(**figures_of(details.steps.get(key), lost[key]), step_key=key, label=key) for key in node.members
        ]
        return StepList(revision, now, rows)
