"""Flows for the page: all of them as rows, and one with its graph, its errors and its newest runs."""

from collections import Counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.flows.drift import Drift, drift_of
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.local.api.page import flow_answers
from failpath_otel.local.api.page.answers import graph_of, row_of
from failpath_otel.local.api.page.error_answers import FlowErrors, errors_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.api.parameters import limit_in, number_in, one_of, range_in
from failpath_otel.local.api.scripts.run_filter import DERIVED
from failpath_otel.local.board.board import MAX_LISTED_RUNS, NO_FIGURES, FlowFigures
from failpath_otel.local.board.order import PROBLEMS, SORTS, Orders, ordered
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.observed import seen_flow
from failpath_otel.local.flows.statistics import WINDOW
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.time_range import TimeRange

_SILENT_SHOWN: Final = 5
_ROWS: Final = 200


class FlowRoutes:
    """The routes of flows."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._orders = Orders()

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("flows", self.flows),
            route("flow-keys", self.keys),
            route("flow/{flow_key:anything}", self.flow),
        ]

    def flows(self, request: Request) -> flow_answers.FlowList:
        """Return flows as rows, those that need eyes first or in another order, and the newest silent runs."""
        query, receiver = request.query_params, self._receiver
        limit, offset = limit_in(query.get("limit"), _ROWS), number_in(query.get("offset"), "offset") or 0
        sort = one_of(query.get("sort") or PROBLEMS, SORTS, "an order") or PROBLEMS
        number, text, within = number_in(query.get("order"), "order"), query.get("text") or "", range_in(query)
        revision_and_time = heading(receiver)
        current = receiver.monitor.current()
        shown, counts = receiver.monitor.shown(current), _counts(current)
        figures = receiver.board.all(within)
        keys = [key for key in receiver.flows.known() if text.casefold() in key.casefold()]
        now = ordered(keys, figures, counts, receiver.clock(), sort)
        number, order = self._orders.hold(now, number)
        silent = [key for key, liveness in current.items() if liveness in DERIVED]
        return flow_answers.FlowList(
            *revision_and_time,
            flows=[
                self._flow_row(key, figures.get(key, NO_FIGURES), within, counts, shown)
                for key in order[offset : offset + limit]
            ],
            silent=flow_answers.SilentRuns(
                len(silent),
                [row_of(row, current.get(row.key)) for row in receiver.store.runs.rows(_SILENT_SHOWN, only=silent)],
            ),
            offset=offset,
            total=len(order),
            order=number,
            moved=order != now,
        )

    def keys(self, _request: Request) -> flow_answers.FlowKeys:
        """Return the keys of all flows."""
        return flow_answers.FlowKeys(*heading(self._receiver), sorted(self._receiver.flows.known()))

    def flow(self, request: Request) -> flow_answers.FlowPage:
        """Return one flow: its graph, its errors, its newest runs."""
        receiver, within = self._receiver, range_in(request.query_params)
        revision_and_time = heading(receiver)
        flow_key: str = request.path_params["flow_key"]
        details = receiver.flows.details(flow_key, within)
        if not details.runs and details.declared is None and not receiver.store.flows.newest(flow_key, 1):
            raise HTTPException(404, "no such flow")
        everywhere = receiver.monitor.current()
        current: dict[RunKey, Liveness] = {key: its for key, its in everywhere.items() if key.flow_key == flow_key}
        shown = receiver.monitor.shown(current)
        figures = receiver.board.one(flow_key, within)
        newest = receiver.store.runs.rows(MAX_LISTED_RUNS, flow_key=flow_key, within=within)
        return flow_answers.FlowPage(
            *revision_and_time,
            flow=self._flow_row(flow_key, figures, within, _counts(current), shown),
            window=flow_answers.window_of([run.row for run in details.runs], figures.total),
            graph=graph_of(details, receiver.monitor.gone_steps(flow_key)),
            errors=self._errors(flow_key, within),
            runs=[row_of(row, shown.get(row.key)) for row in newest],
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
        self,
        flow_key: str,
        figures: FlowFigures,
        within: TimeRange,
        counts: dict[str, Counter[Liveness]],
        shown: dict[RunKey, Liveness],
    ) -> flow_answers.FlowRow:
        last_seen = figures.last_seen
        if last_seen is None and (newest := self._receiver.store.flows.newest(flow_key, 1)):
            # It was seen, though not in the range.
            last_seen = newest[0].active_at
        trend = self._receiver.trends.trend(flow_key, within)
        running = counts.get(flow_key, Counter())
        return flow_answers.flow_row(flow_key, figures, trend, shown, counts=running, last_seen=last_seen)


def _counts(current: dict[RunKey, Liveness]) -> dict[str, Counter[Liveness]]:
    """Return how many runs of each flow are running, by liveness."""
    counts: dict[str, Counter[Liveness]] = {}
    for key, liveness in current.items():
        counts.setdefault(key.flow_key, Counter())[liveness] += 1
    return counts
