"""The API of the page: status, flows, runs, and the sample."""

import base64
import socket
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel._version import __version__
from failpath_otel.flows.drift import Drift, drift_of
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.local.api import page_answers as answers
from failpath_otel.local.api.page_answers import Row, outcome_of, row_of
from failpath_otel.local.api.parameters import STATUSES, limit_in, one_of
from failpath_otel.local.api.responses import json_response
from failpath_otel.local.api.run_page import run_page
from failpath_otel.local.api.scripts.run_filter import DERIVED
from failpath_otel.local.flows.flows import MAX_ATTEMPTS, FlowDetails
from failpath_otel.local.flows.observed import seen_flow
from failpath_otel.local.flows.statistics import WINDOW, top_errors
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS
from failpath_otel.local.sample import sample_events
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.local.store.store import ReceivedEvent
from failpath_otel.serving.threads import in_thread

PREFIX: Final = "/api/page"

_ROWS: Final = 100
_SILENT_SHOWN: Final = 5

_Handler = Callable[[Request], msgspec.Struct | dict[str, int]]
_Cursor = tuple[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)], str, str]
_decode_cursor: Final[Callable[[bytes], _Cursor]] = msgspec.json.Decoder(_Cursor).decode


class PageApi:
    """The routes of the page's API; each reads the current state of the store."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._store = receiver.store

    @property
    def routes(self) -> list[Route]:
        """All routes but that of the stream."""
        return [
            _route("status", self.status),
            _route("flows", self.flows),
            _route("flow/{flow_key:anything}", self.flow),
            _route("runs", self.rows),
            _route("run/{run_id:anything}", self.run),
            _route("sample", self.load_sample, "POST", 201),
            _route("sample", self.remove_sample, "DELETE"),
        ]

    def status(self, request: Request) -> answers.StatusAnswer:
        """Return the state of the receiver: its limits, and what it holds."""
        receiver, store = self._receiver, self._store
        revision, now = self._heading()
        pruned = store.pruned()
        keys = receiver.flows.known()
        return answers.StatusAnswer(
            version=__version__,
            store_id=store.runs.store_id(),
            revision=revision,
            now=now,
            url=f"{request.url.scheme}://{request.url.netloc}",
            runs=store.runs.count(),
            flows=len(keys),
            window=WINDOW,
            window_attempts=MAX_ATTEMPTS,
            trace_url=receiver.settings.trace_url,
            keep=answers.Keep(receiver.settings.days, receiver.settings.mebibytes),
            pruned=answers.Pruned(
                pruned.runs, None if pruned.newest_activity is None else to_rfc3339(pruned.newest_activity)
            ),
            flows_file=None if receiver.settings.flows is None else str(receiver.settings.flows),
            sample=any(key in SAMPLE_FLOWS for key in keys),
        )

    def flows(self, _request: Request) -> answers.FlowList:
        """Return every flow as a row, and the newest silent runs."""
        heading = self._heading()
        current = self._receiver.monitor.current()
        counts: dict[str, Counter[Liveness]] = {}
        for key, liveness in current.items():
            counts.setdefault(key.flow_key, Counter())[liveness] += 1
        rows = [self._flow_row(flow_key, counts, current) for flow_key in self._receiver.flows.known()]
        rows.sort(key=lambda row: (row.last_seen or "", row.flow_key), reverse=True)
        silent = [key for key, liveness in current.items() if liveness in DERIVED]
        return answers.FlowList(
            *heading,
            flows=rows,
            silent=answers.SilentRuns(
                len(silent),
                [row_of(row, current.get(row.key)) for row in self._store.runs.rows(_SILENT_SHOWN, only=silent)],
            ),
        )

    def flow(self, request: Request) -> answers.FlowPage:
        """Return one flow: its graph, its errors, its newest runs."""
        heading = self._heading()
        flow_key: str = request.path_params["flow_key"]
        details = self._receiver.flows.details(flow_key)
        if not details.runs and details.declared is None:
            raise HTTPException(404, "no such flow")
        everywhere = self._receiver.monitor.current()
        current: dict[RunKey, Liveness] = {key: its for key, its in everywhere.items() if key.flow_key == flow_key}
        return answers.FlowPage(
            *heading,
            flow=self._flow_row(flow_key, {flow_key: Counter(current.values())}, current),
            graph=answers.graph_of(details.shape, details.layout, details.steps),
            errors=top_errors(details.runs),
            runs=[row_of(row, current.get(row.key)) for row in self._receiver.flows.listing(flow_key).newest],
            drift=self._drift(flow_key, details),
        )

    def _drift(self, flow_key: str, details: FlowDetails) -> list[Drift]:
        """Return how the runs of a flow differ from the file of declared flows, where there is one."""
        declared = self._receiver.flows.declared()
        if not declared or (flow_key in {TEST_FLOW, *SAMPLE_FLOWS} and flow_key not in declared):
            return []
        known = KnownKeys({key: [node.step_key for node in flow.nodes] for key, flow in declared.items()})
        edges = () if details.declared is None else details.declared.edges
        return list(drift_of(known, edges, seen_flow(flow_key, details)))

    def rows(self, request: Request) -> answers.RowList:
        """Return a page of the list of runs, filtered."""
        query = request.query_params
        limit = limit_in(query.get("limit"), _ROWS)
        word = one_of(query.get("status") or None, (*STATUSES, *DERIVED))
        before = _cursor(query.get("before"))
        heading = self._heading()
        current = self._receiver.monitor.current()
        # Silent runs are `running` in the store, which knows records only.
        only = [key for key, liveness in current.items() if liveness == word] if word in DERIVED else None
        stored = None if word is None else ["running"] if word in DERIVED else [word]
        found: list[RunRow] = []
        while len(found) <= limit:
            page = self._store.runs.rows(
                limit + 1,
                before=before,
                flow_key=query.get("flow") or None,
                statuses=stored,
                text=query.get("text") or None,
                only=only,
            )
            found += [row for row in page if word != "running" or current.get(row.key) not in DERIVED]
            if len(page) <= limit:
                break
            before = _place(page[-1])
        return answers.RowList(
            *heading,
            runs=[row_of(row, current.get(row.key)) for row in found[:limit]],
            next=_text(_place(found[limit - 1])) if len(found) > limit else None,
        )

    def run(self, request: Request) -> answers.RunPage:
        """Return one run: its view, its graph, its events."""
        heading = self._heading()
        key = self._store.find(request.path_params["run_id"], flow_key=request.query_params.get("flow") or None)
        found = None if key is None else run_page(self._receiver, key, heading)
        if found is None:
            raise HTTPException(404, "no such run")
        return found

    def load_sample(self, _request: Request) -> dict[str, int]:
        """Store the sample as if it had been sent."""
        self.remove_sample(_request)  # or it would be there twice
        now = self._receiver.clock()
        received_events = [ReceivedEvent(decode_event(text), text) for text in sample_events(now, socket.gethostname())]
        runs = {RunKey(event.flow_key, event.run_id) for event, _ in received_events}
        self._store.add(received_events, now)
        for _ in runs:  # each call projects at least one, and mostly all of them
            self._receiver.projector.catch_up()
        return {"runs": len(runs)}

    def remove_sample(self, _request: Request) -> dict[str, int]:
        """Delete the flows of the sample."""
        gone = sum(self._store.delete_flow(flow_key) for flow_key in SAMPLE_FLOWS)
        self._receiver.runs_deleted(gone)
        return {"runs": gone}

    def row(self, row: RunRow) -> Row:
        """Return the row of a run as it is now, for the stream."""
        return row_of(row, self._receiver.monitor.liveness(row.key) if row.status == "running" else None)

    def _heading(self) -> tuple[int, str]:
        """Return a revision that the answer is at least as new as, and the time; called before anything is read."""
        self._receiver.catch_up()
        return self._store.runs.revision(), to_rfc3339(self._receiver.clock())

    def _flow_row(
        self, flow_key: str, counts: dict[str, Counter[Liveness]], current: dict[RunKey, Liveness]
    ) -> answers.FlowRow:
        listing = self._receiver.flows.listing(flow_key)
        outcomes = [outcome_of(row, current.get(row.key)) for row in reversed(listing.newest)]
        last_seen = listing.newest[0].active_at if listing.newest else None
        return answers.flow_row(flow_key, outcomes, listing.stats, counts.get(flow_key, Counter()), last_seen)


def _route(path: str, handler: _Handler, method: str = "GET", status_code: int = 200) -> Route:
    async def answer(request: Request) -> Response:
        return await in_thread(lambda: json_response(handler(request), status_code))

    return Route(f"{PREFIX}/{path}", answer, methods=[method])


def _place(row: RunRow) -> _Cursor:
    return row.active_at, row.flow_key, row.run_id


def _text(place: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _cursor(text: str | None) -> _Cursor | None:
    if not text:
        return None
    try:
        place = _decode_cursor(base64.urlsafe_b64decode(text))
    except (ValueError, msgspec.DecodeError, RecursionError):
        place = None
    # Integers of SQLite end here.
    if place is None or not 0 <= place[0] < 1 << 63:
        raise HTTPException(400, "expected the `next` of another response as `before`")
    return place
