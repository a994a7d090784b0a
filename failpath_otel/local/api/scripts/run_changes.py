"""The route for clients that follow runs, as ``failpath-otel runs --follow``: it responds once a run has changed."""

import asyncio
import contextlib
from functools import partial
from time import monotonic
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.parameters import limit_in, seconds_in
from failpath_otel.local.api.responses import json_response
from failpath_otel.local.api.scripts.run_filter import RunFilter, filter_in
from failpath_otel.local.api.scripts.run_views import view_of
from failpath_otel.local.api.stream import LOOK_SECONDS, cursor_of, known_revision
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.view import RunChanges, RunView
from failpath_otel.serving.threads import in_thread

CHANGES: Final = "/api/changes"

MAX_WAIT_SECONDS: Final = 30

_LIMIT: Final = 100
"""How many changed runs one response looks through, by default."""


def changes_route(receiver: Receiver) -> Route:
    """Return the route; ``?after=`` is the ``cursor`` of the answer before. Without it the answer is a cursor alone."""
    return Route(CHANGES, partial(_respond, receiver), methods=["GET"])


async def _respond(receiver: Receiver, request: Request) -> Response:
    query = request.query_params
    wanted, limit = filter_in(query), limit_in(query.get("limit"), _LIMIT)
    ends_at = monotonic() + seconds_in(query.get("wait"), MAX_WAIT_SECONDS)
    store_id, newest = await in_thread(partial(_newest, receiver))
    given = query.get("after")
    known = newest if given is None else known_revision(given, store_id)
    if given is None or known is None or known > newest:
        return json_response(RunChanges(cursor_of(store_id, newest), given is not None, more=False, runs=[]))
    revision = known
    with receiver.changes.listening() as something:
        while True:
            something.clear()
            revision, more, runs = await in_thread(partial(_changed, receiver, revision, limit, wanted))
            left = ends_at - monotonic()
            if runs or more or left <= 0 or receiver.changes.closed:
                return json_response(RunChanges(cursor_of(store_id, revision), reset=False, more=more, runs=runs))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(something.wait(), min(left, LOOK_SECONDS))


def _newest(receiver: Receiver) -> tuple[str, int]:
    receiver.catch_up()
    return receiver.store.runs.store_id(), receiver.store.runs.revision()


def _changed(receiver: Receiver, after: int, limit: int, wanted: RunFilter) -> tuple[int, bool, list[RunView]]:
    """Return the revision that is known now, whether there is more behind it, and the runs that pass the filter."""
    rows = receiver.store.runs.changes(after, limit + 1)
    more = len(rows) > limit
    views = [view_of(receiver, row.key) for row in rows[:limit] if wanted.takes_row(row)]
    runs = [run for run in views if run is not None and wanted.takes(run)]
    return rows[:limit][-1].revision if rows else after, more, runs
