"""The operations for senders of events and for scripts."""

from typing import Final

from failpath_otel.flows.seen import SeenFlows
from failpath_otel.local.api.events import EventBatch, Receipt
from failpath_otel.local.api.openapi.operation import TEXT, TIME, Operation, Parameter
from failpath_otel.local.api.openapi.parameters import BEFORE, COUNT, FLOW, LIMIT, META, RUN_ID, STATUS, json_of
from failpath_otel.local.api.scripts.run_changes import MAX_WAIT_SECONDS
from failpath_otel.local.api.seen_spans import SEEN_SPANS
from failpath_otel.local.runs.view import RunChanges, RunList, RunView
from failpath_otel.otlp.seen.ring import SeenPage
from failpath_otel.records.request import ROUTE as EVENTS

_SCRIPT_FILTERS: Final = (
    FLOW,
    Parameter("run", "The id of a run.", TEXT),
    Parameter("status", "Any of these statuses; `running` includes `silent` and `gone`.", STATUS, repeated=True),
    META,
    Parameter("since", "The earliest newest activity of a run.", TIME),
)


SCRIPT_OPERATIONS: Final = (
    Operation(
        "POST",
        EVENTS,
        "Store events; those that are invalid are named in the answer, and the others are stored.",
        json_of(Receipt),
        status=202,
        body=(json_of(EventBatch),),
        refusals=(400, 405, 413, 415, 429),
    ),
    Operation(
        "GET",
        "/api/runs",
        "Return runs with their steps, the newest activity first.",
        json_of(RunList),
        (*_SCRIPT_FILTERS, BEFORE, LIMIT),
    ),
    Operation(
        "GET", "/api/runs/{run_id}", "Return a run with its steps.", json_of(RunView), (RUN_ID, FLOW), refusals=(404,)
    ),
    Operation(
        "GET",
        "/api/changes",
        "Return runs that changed, as soon as there are any.",
        json_of(RunChanges),
        (
            Parameter("after", "The `cursor` of the answer before; without it the answer is a cursor alone.", TEXT),
            Parameter(
                "wait",
                "How many seconds to wait for a change.",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
            ),
            *_SCRIPT_FILTERS,
            LIMIT,
        ),
    ),
    Operation(
        "GET",
        "/api/flows",
        "Return the steps and edges of flows as seen in their runs, in the order of their keys.",
        json_of(SeenFlows),
        (Parameter("after", "The `next` of the answer before.", TEXT), LIMIT),
    ),
    Operation(
        "GET",
        SEEN_SPANS,
        "Return spans that came by OTLP since the answer before.",
        json_of(SeenPage),
        (Parameter("after", "The `next` of the answer before.", COUNT),),
    ),
)
