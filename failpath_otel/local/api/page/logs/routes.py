"""Logs for the page: those of a run, and the details of one."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.logs.answers import LogDetailsAnswer, LogError, LogLine, RunLogs, Severity
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.logs.attached import attached_logs
from failpath_otel.local.logs.attachment import Attachment
from failpath_otel.local.logs.line import Details, Line
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.stack import split_stack
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.logs import StoredLog

MAX_LINES: Final = 2_000
"""The most log records of an answer, the newest of a run."""

MAX_LINE_CHARS: Final = 512
"""Characters of a body in a list."""

_SEVERITIES: Final[tuple[Severity, ...]] = ("trace", "debug", "info", "warn", "error", "fatal")

_decode_line: Final = msgspec.json.Decoder(Line).decode
_decode_details: Final = msgspec.json.Decoder(Details).decode


class LogRoutes:
    """The routes of logs."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """Both of them."""
        return [route("logs/{run_id:anything}", self.of_run), route("log/{log_id:anything}", self.details)]

    def of_run(self, request: Request) -> RunLogs:
        """Return the newest logs of a run, each with the step that it belongs to."""
        revision_and_time = heading(self._receiver)
        store = self._receiver.store
        flow_key = request.query_params.get("flow") or None
        key = store.find(request.path_params["run_id"], flow_key=flow_key)
        stored = store.runs.stored([] if key is None else [key])
        if key is None or not stored:
            raise HTTPException(404, "no such run")
        attempts = stored[0].attempts
        found = attached_logs(store, key, attempts, self._receiver.span_parents.parent, MAX_LINES)
        if not found.logs:
            return RunLogs(*revision_and_time, [], found.left_out)
        numbers = _attempt_numbers(attempts)
        times = store.logs.event_times(key)
        lines = [
            _line(log, attachment, attempts, numbers, bisect_right(times, log.at)) for log, attachment in found.logs
        ]
        return RunLogs(*revision_and_time, lines, found.left_out)

    def details(self, request: Request) -> LogDetailsAnswer:
        """Return what a line does not show of a log record."""
        given: str = request.path_params["log_id"]
        log_id = int(given) if re.fullmatch("[0-9]{1,18}", given) else 0
        found = self._receiver.store.logs.details(log_id)
        if found is None:
            raise HTTPException(404, "no such log record")
        details = Details() if found.details is None else _decode_details(found.details)
        error = details.error
        return LogDetailsAnswer(
            log_id,
            _decode_line(found.line).body,
            details.attributes,
            None
            if error is None
            else LogError(
                error.name, error.message, error.stack, None if error.stack is None else split_stack(error.stack)
            ),
        )


def _attempt_numbers(attempts: Sequence[AttemptSummary]) -> list[int]:
    """Return the number of each attempt among those of its step."""
    seen: Counter[str] = Counter()
    numbers: list[int] = []
    for attempt in attempts:
        seen[attempt.step_key] += 1
        numbers.append(seen[attempt.step_key])
    return numbers


def _line(
    log: StoredLog,
    attachment: Attachment,
    attempts: Sequence[AttemptSummary],
    numbers: Sequence[int],
    events_before: int,
) -> LogLine:
    line, place = _decode_line(log.line), attachment.place
    return LogLine(
        id=log.id,
        timestamp=to_rfc3339(log.at),
        # Four numbers a word: INFO is 9, INFO2 10.
        severity=_SEVERITIES[(log.severity - 1) // 4] if log.severity else None,
        severity_text=line.severity_text,
        body=line.body[:MAX_LINE_CHARS],
        cut=len(line.body) > MAX_LINE_CHARS,
        logger=line.logger,
        service=line.service,
        error=line.error or None,
        details=bool(log.has_details),
        relation=attachment.relation,
        step_key=None if place is None else attempts[place].step_key,
        attempt=None if place is None else numbers[place],
        span_id=log.span_id,
        events_before=events_before,
    )
