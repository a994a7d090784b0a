"""What a user of the page changes: pins, and runs that are deleted."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.route import route
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.run_row import RunKey


class RunCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many runs there are, or were deleted, and how many of them are pinned."""

    runs: int
    pinned: int


class PinAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a run is pinned now."""

    pinned: bool


class RunActions:
    """The routes of pins and deletions."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("count", self.count),
            route("pin/{run_id:anything}", self.pin, "PUT"),
            route("pin/{run_id:anything}", self.unpin, "DELETE"),
            route("runs", self.delete_all, "DELETE"),
            route("flow/{flow_key:anything}", self.delete_flow, "DELETE"),
            route("run/{run_id:anything}", self.delete_run, "DELETE"),
        ]

    def count(self, request: Request) -> RunCount:
        """Return how many runs there are of a flow, or of all, for the question before they are deleted."""
        flow_key = request.query_params.get("flow") or None
        return RunCount(self._receiver.store.runs.count(flow_key), self._receiver.store.pins.count(flow_key))

    def pin(self, request: Request) -> PinAnswer:
        """Keep a run from being pruned."""
        return self._set_pin(request, pinned=True)

    def unpin(self, request: Request) -> PinAnswer:
        """Let a run be pruned again."""
        return self._set_pin(request, pinned=False)

    def delete_all(self, _request: Request) -> RunCount:
        """Delete every run."""
        return self._delete()

    def delete_flow(self, request: Request) -> RunCount:
        """Delete the runs of a flow."""
        return self._delete(request.path_params["flow_key"])

    def delete_run(self, request: Request) -> RunCount:
        """Delete a run; where its flow is not given, the one that was active last."""
        return self._delete(*self._find(request))

    def _delete(self, flow_key: str | None = None, run_id: str | None = None) -> RunCount:
        store = self._receiver.store
        pinned = store.pins.count(flow_key)
        runs = self._receiver.delete(flow_key, run_id)
        return RunCount(runs, pinned - store.pins.count(flow_key))

    def _set_pin(self, request: Request, *, pinned: bool) -> PinAnswer:
        self._receiver.catch_up()
        key, store = self._find(request), self._receiver.store
        if store.pins.set(key, pinned=pinned):
            self._receiver.changes.notify(store.bump_revisions([key]))
        row = store.runs.row(key)
        return PinAnswer(row is not None and bool(row.pinned))

    def _find(self, request: Request) -> RunKey:
        flow_key = request.query_params.get("flow") or None
        key = self._receiver.store.find(request.path_params["run_id"], flow_key=flow_key)
        if key is None:
            raise HTTPException(404, "no such run")
        return key
