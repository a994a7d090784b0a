"""The operations of the HTTP interface, in the order of the document; a test compares them with the routes."""

from typing import Final

from failpath_otel.flows.seen import SeenFlows
from failpath_otel.local.api.events import EventBatch, Receipt
from failpath_otel.local.api.openapi.operation import TEXT, TIME, Content, Operation, Parameter, Schema
from failpath_otel.local.api.page import answers
from failpath_otel.local.api.page.route import PREFIX
from failpath_otel.local.api.parameters import MAX_LIMIT, STATUSES
from failpath_otel.local.api.scripts.run_changes import MAX_WAIT_SECONDS
from failpath_otel.local.api.scripts.run_filter import DERIVED
from failpath_otel.local.api.seen_spans import SEEN_SPANS
from failpath_otel.local.runs.view import RunChanges, RunList, RunView
from failpath_otel.otlp.seen.ring import SeenPage
from failpath_otel.records.request import ROUTE as EVENTS

OPENAPI: Final = "/api/openapi.json"

_STATUS: Final[Schema] = {"type": "string", "enum": [*STATUSES, *DERIVED]}
_OBJECT: Final[Schema] = {"type": "object"}
_FLOW: Final = Parameter("flow", "The key of a flow.", TEXT)
_RUN_ID: Final = Parameter("run_id", "The id of a run.", TEXT, where="path")
_FLOW_KEY: Final = Parameter("flow_key", "The key of a flow.", TEXT, where="path")
_FROM: Final = Parameter("from", "The earliest newest activity of a run.", TIME)
_TO: Final = Parameter("to", "The end of the range of its newest activity, which is not in it.", TIME)
_RANGE: Final = (_FROM, _TO)
_LIMIT: Final = Parameter(
    "limit", "The most items of the answer.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
)
_BEFORE: Final = Parameter("before", "The `next` of the answer before.", TEXT)

_SCRIPT_FILTERS: Final = (
    _FLOW,
    Parameter("run", "The id of a run.", TEXT),
    Parameter("status", "Any of these statuses; `running` includes `silent` and `gone`.", _STATUS, repeated=True),
    Parameter("since", "The earliest newest activity of a run.", TIME),
)


def _json(form: object) -> Content:
    return Content(form=form)


OPERATIONS: Final = (
    Operation(
        "POST",
        EVENTS,
        "Store events; those that are invalid are named in the answer, and the others are stored.",
        _json(Receipt),
        status=202,
        body=(_json(EventBatch),),
        refusals=(400, 413, 415, 429),
    ),
    Operation(
        "GET",
        "/api/runs",
        "Return runs with their steps, the newest activity first.",
        _json(RunList),
        (*_SCRIPT_FILTERS, _BEFORE, _LIMIT),
    ),
    Operation(
        "GET", "/api/runs/{run_id}", "Return a run with its steps.", _json(RunView), (_RUN_ID, _FLOW), refusals=(404,)
    ),
    Operation(
        "GET",
        "/api/changes",
        "Return runs that changed, as soon as there are any.",
        _json(RunChanges),
        (
            Parameter("after", "The `cursor` of the answer before; without it the answer is a cursor alone.", TEXT),
            Parameter(
                "wait",
                "How many seconds to wait for a change.",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
            ),
            *_SCRIPT_FILTERS,
            _LIMIT,
        ),
    ),
    Operation(
        "GET",
        "/api/flows",
        "Return the steps and edges of flows as seen in their runs, in the order of their keys.",
        _json(SeenFlows),
        (Parameter("after", "The `next` of the answer before.", TEXT), _LIMIT),
    ),
    Operation(
        "GET",
        SEEN_SPANS,
        "Return spans that came by OTLP since the answer before.",
        _json(SeenPage),
        (Parameter("after", "The `next` of the answer before.", {"type": "integer", "minimum": 0}),),
    ),
    Operation("GET", f"{PREFIX}/status", "Return the state of the receiver.", _json(answers.StatusAnswer)),
    Operation("GET", f"{PREFIX}/flows", "Return every flow with its figures.", _json(answers.FlowList)),
    Operation(
        "GET",
        f"{PREFIX}/flow/{{flow_key}}",
        "Return one flow with its graph.",
        _json(answers.FlowPage),
        (_FLOW_KEY,),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/runs",
        "Return runs as rows, the newest activity first.",
        _json(answers.RowList),
        (
            _FLOW,
            Parameter("status", "One status; `running` leaves out `silent` and `gone`.", _STATUS),
            Parameter("text", "A text that is in the run, in any case.", TEXT),
            *_RANGE,
            _BEFORE,
            _LIMIT,
        ),
    ),
    Operation(
        "GET",
        f"{PREFIX}/run/{{run_id}}",
        "Return one run with its graph and its events.",
        _json(answers.RunPage),
        (_RUN_ID, _FLOW),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/stream",
        "Send what changes, as server-sent events, until the client ends it.",
        Content("text/event-stream"),
        (
            Parameter("after", "The id of the last event that was received.", TEXT),
            Parameter("Last-Event-ID", "The same, as a browser sends it.", TEXT, where="header"),
        ),
    ),
    Operation("POST", f"{PREFIX}/sample", "Load the sample.", _json(_OBJECT), status=201),
    Operation("DELETE", f"{PREFIX}/sample", "Delete the sample.", _json(_OBJECT)),
    Operation("GET", OPENAPI, "Return this document.", _json(_OBJECT)),
)
