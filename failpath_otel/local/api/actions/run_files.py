"""Runs as files: ``GET /api/export/{run id}`` writes one, ``POST /api/import`` reads one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar, cast
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.path_convertor import ANYTHING
from failpath_otel.local.api.responses import json_response
from failpath_otel.local.files.export import export_run
from failpath_otel.local.files.log_records import log_of_file
from failpath_otel.local.files.reading import read_run
from failpath_otel.local.files.run_file import MAX_FILE_BYTES, MAX_FILE_LOGS, PARTS, FileError, LogFile, Part, file_name
from failpath_otel.local.logs.attached import attached_logs
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.summary import AttemptSummary, summarise
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.local.store.marks.imports import RunConflictError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.otlp.requests.intake import ServiceUnavailable
from failpath_otel.serving.body import BodyBudget, media_type, read_body
from failpath_otel.serving.threads import in_thread

_T = TypeVar("_T")

EXPORT: Final = "/api/export"
IMPORT: Final = "/api/import"


class ImportAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The run of a file, and whether it was stored; otherwise exactly that was there already."""

    flow_key: str
    run_id: str
    new: bool


class RunFiles:
    """The routes of files."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        # One file at a time, which takes several times its size while it is read.
        self._budget: Final = BodyBudget(MAX_FILE_BYTES, _busy)

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(f"{EXPORT}/{{run_id:{ANYTHING}}}", self.write, methods=["GET"]),
            Route(IMPORT, self.read, methods=["POST"]),
        ]

    async def write(self, request: Request) -> Response:
        """Respond with a run as a file; ``?without=`` leaves a part of it out, and may be given several times."""
        run_id, query = request.path_params["run_id"], request.query_params
        without = query.getlist("without")
        if not {*without} <= {*PARTS}:
            raise HTTPException(400, f"expected `without` out of {', '.join(PARTS)}")
        export = partial(self._export, run_id, query.get("flow") or None, cast("list[Part]", without))
        text = await _answered(export)
        if text is None:
            raise HTTPException(404, "no such run")
        disposition = f"attachment; filename*=UTF-8''{quote(file_name(run_id))}"
        return Response(text, headers={"content-disposition": disposition}, media_type="application/json")

    async def read(self, request: Request) -> Response:
        """Store the run in a file, and respond with its key."""
        if media_type(request) != "application/json":
            raise HTTPException(415, "expected the header 'Content-Type: application/json'")
        with self._budget.for_request() as take:
            text = await read_body(request, MAX_FILE_BYTES, take)
            answer = await _answered(partial(self._import, text))
        return json_response(answer)

    def _export(self, run_id: str, flow_key: str | None, without: list[Part]) -> bytes | None:
        key = self._receiver.store.find(run_id, flow_key=flow_key)
        events = [] if key is None else self._receiver.store.events(key)
        if key is None or not events:
            return None
        store = self._receiver.store
        view = build_run_view(events)
        attempts = summarise(view, events).attempts
        liveness, received = self._receiver.assess(key, attempts), store.received(key)
        if any(event.id not in received for event in events):
            return None  # it is being deleted
        logs, left_out = ([], 0) if "logs" in without else self._logs(key, attempts, without)
        return export_run(view, liveness, events, received, without=without, logs=logs, logs_left_out=left_out)

    def _logs(self, key: RunKey, attempts: Sequence[AttemptSummary], without: list[Part]) -> tuple[list[LogFile], int]:
        store = self._receiver.store
        found = attached_logs(store, key, attempts, self._receiver.span_parents.parent, MAX_FILE_LOGS)
        details = ((log, store.logs.details(log.id) if log.has_details else None) for log, _ in found.logs)
        return [log_of_file(log, its, without) for log, its in details], found.left_out

    def _import(self, text: bytes) -> ImportAnswer:
        run = read_run(text)
        is_new = self._receiver.store.imports.add(run, self._receiver.clock())
        self._receiver.store.work_available.set()
        self._receiver.catch_up()
        return ImportAnswer(*run.key, is_new)


async def _answered(call: Callable[[], _T]) -> _T:
    try:
        return await in_thread(call)
    except FileError as error:
        raise HTTPException(422, str(error)) from None
    except RunConflictError as error:
        raise HTTPException(409, str(error)) from None


def _busy() -> HTTPException:
    return ServiceUnavailable("another file is being read", 1, "too_much")
