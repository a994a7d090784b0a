"""Runs for the page: a list, filtered, and one run."""

from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.cursor import cursor_in, cursor_text
from failpath_otel.local.api.page import answers
from failpath_otel.local.api.page.answers import row_of
from failpath_otel.local.api.page.error_answers import named_error
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.api.page.run_page import event_page, run_page, step_page
from failpath_otel.local.api.parameters import STATUSES, error_in, limit_in, meta_in, offset_in, one_of, range_in
from failpath_otel.local.api.scripts.run_filter import DERIVED
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.run_row import RunKey, RunRow

_ROWS: Final = 100
_EVENTS: Final = 500

_T = TypeVar("_T")


class RunRoutes:
    """The routes of runs."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        # A run id may hold anything, also a path: what is asked about the run stands before it.
        return [
            route("runs", self.rows),
            route("run/{run_id:anything}", self.run),
            route("run-events/{run_id:anything}", self.events),
            route("run-step/{run_id:anything}", self.step),
        ]

    def rows(self, request: Request) -> answers.RowList:
        """Return a page of the list of runs, filtered."""
        query = request.query_params
        limit = limit_in(query.get("limit"), _ROWS)
        word = one_of(query.get("status") or None, (*STATUSES, *DERIVED))
        before, within, error = cursor_in(query.get("before")), range_in(query), error_in(query)
        meta = meta_in(query)
        revision_and_time = heading(self._receiver)
        current = self._receiver.monitor.current(imported=True)
        # Silent runs are `running` in the store, which knows records only.
        only = [key for key, liveness in current.items() if liveness == word] if word in DERIVED else None
        if query.get("pinned"):
            pinned = self._receiver.store.pins.all()
            only = pinned if only is None else list({*only}.intersection(pinned))
        stored = None if word is None else ["running"] if word in DERIVED else [word]
        found: list[RunRow] = []
        while len(found) <= limit:
            page = self._receiver.store.runs.rows(
                limit + 1,
                before=before,
                flow_key=query.get("flow") or None,
                statuses=stored,
                text=query.get("text") or None,
                only=only,
                within=within,
                error=error,
                meta=meta,
            )
            found += [row for row in page if word != "running" or current.get(row.key) not in DERIVED]
            if len(page) <= limit:
                break
            before = page[-1].place
        kind = None if error is None else self._receiver.store.errors.kind(error)
        return answers.RowList(
            *revision_and_time,
            runs=[row_of(row, current.get(row.key)) for row in found[:limit]],
            next=cursor_text(found[limit - 1].place) if len(found) > limit else None,
            error=None if kind is None else named_error(kind),
        )

    def run(self, request: Request) -> answers.RunPage:
        """Return one run: its view, its graph, its events; a long one without what it is asked for in parts."""
        revision_and_time = heading(self._receiver)
        whole = request.query_params.get("whole") == "1"
        return _found(run_page(self._receiver, self._key(request), revision_and_time, whole=whole))

    def events(self, request: Request) -> answers.EventPage:
        """Return a part of the events of a run."""
        query = request.query_params
        offset, limit = offset_in(query.get("offset")), limit_in(query.get("limit"), _EVENTS)
        revision_and_time = heading(self._receiver)
        return event_page(self._receiver, self._key(request), revision_and_time, offset, limit)

    def step(self, request: Request) -> answers.StepPage:
        """Return all that is known of one attempt of a step of a run."""
        query = request.query_params
        revision_and_time = heading(self._receiver)
        key = self._key(request)
        return _found(step_page(self._receiver, key, revision_and_time, query.get("step", ""), query.get("span", "")))

    def _key(self, request: Request) -> RunKey:
        flow_key = request.query_params.get("flow") or None
        return _found(self._receiver.store.find(request.path_params["run_id"], flow_key=flow_key))


def _found(answer: _T | None) -> _T:
    if answer is None:
        raise HTTPException(404, "no such run")
    return answer
