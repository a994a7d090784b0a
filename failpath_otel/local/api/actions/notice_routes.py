"""What the browser's own notices are about: what has begun to fail since a revision."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.flows.reserved import TEST_FLOW
from failpath_otel.local.api.page.route import route
from failpath_otel.local.api.stream import cursor_of, known_revision
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.sample import FLOWS as SAMPLE_FLOWS
from failpath_otel.local.store.run_row import RunRow

_CHANGES: Final = 500
"""The most changed runs that are looked at; after more, the rest of them is left out."""

_GONE: Final = 1000
"""The most runs whose process is gone that an answer names."""

_ENDED: Final = ("success", "error")

NoticeKind = Literal["new-error", "first-failure"]


class Notice(msgspec.Struct, frozen=True, rename="camel"):
    """What has happened to a run: ``about`` distinguishes notices of one kind, ``text`` is the error."""

    kind: NoticeKind
    flow_key: str
    run_id: str
    step_key: str | None
    about: str
    text: str | None


class LostRun(msgspec.Struct, frozen=True, rename="camel"):
    """A run whose process is gone."""

    flow_key: str
    run_id: str


class NoticeList(msgspec.Struct, frozen=True, rename="camel"):
    """What has happened since the cursor that was given, and every run whose process is gone now.

    The next request passes ``cursor`` as ``after``. Without it nothing has happened.
    """

    cursor: str
    notices: list[Notice]
    gone: list[LostRun]


class NoticeRoutes:
    """The route of notices."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [route("notices", self.notices)]

    def notices(self, request: Request) -> NoticeList:
        """Return what has happened since ``?after=``."""
        receiver, runs = self._receiver, self._receiver.store.runs
        receiver.catch_up()
        store_id, newest = runs.store_id(), runs.revision()
        known = known_revision(request.query_params.get("after", ""), store_id)
        rows = [] if known is None else runs.changes(known, _CHANGES)
        gone = sorted(key for key, liveness in receiver.monitor.current().items() if liveness == "gone")
        return NoticeList(
            cursor_of(store_id, newest),
            [notice for row in rows for notice in self._of(row)],
            [LostRun(*key) for key in gone[:_GONE] if key.flow_key not in _LEFT_OUT],
        )

    def _of(self, row: RunRow) -> Iterator[Notice]:
        if row.exported_liveness is not None or row.flow_key in _LEFT_OUT:
            return
        for error in self._receiver.store.errors.first_of_run(*row.key):
            text = f"{error.name}: {error.message}" if error.message else error.name
            yield Notice("new-error", *row.key, error.step_key, error.fingerprint, text)
        if row.status == "error" and self._follows_success(row):
            yield Notice("first-failure", *row.key, row.step_key, "", row.message)

    def _follows_success(self, row: RunRow) -> bool:
        """Return whether the run of the flow that ended before this one was good."""
        before = self._receiver.store.runs.rows(1, before=row.place, flow_key=row.flow_key, statuses=_ENDED)
        return bool(before) and before[0].status == "success"


_LEFT_OUT: Final = frozenset({TEST_FLOW, *SAMPLE_FLOWS})
