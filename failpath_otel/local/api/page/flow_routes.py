"""Flows for the page: all of them as rows, and one with its graph, its errors and its newest runs."""

from collections import Counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.flows.drift import Drift, drift_of
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.local.api.page import answers
from failpath_otel.local.api.page.answers import outcome_of, row_of
from failpath_otel.local.api.page.error_answers import FlowErrors, errors_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.api.parameters import range_in
from failpath_otel.local.api.scripts.run_filter import DERIVED
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.observed import seen_flow
from failpath_otel.local.flows.statistics import WINDOW
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.time_range import TimeRange

_SILENT_SHOWN: Final = 5


class FlowRoutes:
    """The routes of flows."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [route("flows", self.flows), route("flow/{flow_key:anything}", self.flow)]

    def flows(self, _request: Request) -> answers.FlowList:
        """Return every flow as a row, and the newest silent runs."""
        revision_and_time = heading(self._receiver)
        current = self._receiver.monitor.current()
        counts: dict[str, Counter[Liveness]] = {}
        for key, liveness in current.items():
            counts.setdefault(key.flow_key, Counter())[liveness] += 1
        rows = [self._flow_row(flow_key, counts, current) for flow_key in self._receiver.flows.known()]
        rows.sort(key=lambda row: (row.last_seen or "", row.flow_key), reverse=True)
        silent = [key for key, liveness in current.items() if liveness in DERIVED]
        return answers.FlowList(
            *revision_and_time,
            flows=rows,
            silent=answers.SilentRuns(
                len(silent),
                [
                    row_of(row, current.get(row.key))
                    for row in self._receiver.store.runs.rows(_SILENT_SHOWN, only=silent)
                ],
            ),
        )

    def flow(self, request: Request) -> answers.FlowPage:
        """Return one flow: its graph, its errors, its newest runs."""
        revision_and_time = heading(self._receiver)
        flow_key: str = request.path_params["flow_key"]
        details = self._receiver.flows.details(flow_key)
        if not details.runs and details.declared is None:
            raise HTTPException(404, "no such flow")
        everywhere = self._receiver.monitor.current()
        current: dict[RunKey, Liveness] = {key: its for key, its in everywhere.items() if key.flow_key == flow_key}
        return answers.FlowPage(
            *revision_and_time,
            flow=self._flow_row(flow_key, {flow_key: Counter(current.values())}, current),
            graph=answers.graph_of(details.shape, details.layout, details.steps),
            errors=self._errors(flow_key, range_in(request.query_params)),
            runs=[row_of(row, current.get(row.key)) for row in self._receiver.flows.listing(flow_key).newest],
            drift=self._drift(flow_key, details),
        )

    def _errors(self, flow_key: str, within: TimeRange) -> FlowErrors:
        ended, counts = self._receiver.store.errors.of_flow(flow_key, WINDOW, within)
        return errors_of(self._receiver, counts, ended, within)

    def _drift(self, flow_key: str, details: FlowDetails) -> list[Drift]:
        """Return how the runs of a flow differ from the file of declared flows, where there is one."""
        declared = self._receiver.flows.declared()
        if not declared or (flow_key in {TEST_FLOW, *SAMPLE_FLOWS} and flow_key not in declared):
            return []
        known = KnownKeys({key: [node.step_key for node in flow.nodes] for key, flow in declared.items()})
        edges = () if details.declared is None else details.declared.edges
        return list(drift_of(known, edges, seen_flow(flow_key, details)))

    def _flow_row(
        self, flow_key: str, counts: dict[str, Counter[Liveness]], current: dict[RunKey, Liveness]
    ) -> answers.FlowRow:
        listing = self._receiver.flows.listing(flow_key)
        outcomes = [outcome_of(row, current.get(row.key)) for row in reversed(listing.newest)]
        last_seen = listing.newest[0].active_at if listing.newest else None
        return answers.flow_row(flow_key, outcomes, listing.stats, counts.get(flow_key, Counter()), last_seen)
