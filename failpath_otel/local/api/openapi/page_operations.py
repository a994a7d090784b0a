"""The operations for the page."""

from typing import Final

from failpath_otel.local.api.openapi.operation import TEXT, Content, Operation, Parameter
from failpath_otel.local.api.openapi.parameters import (
    BEFORE,
    COUNT,
    ERROR,
    FLOW,
    FLOW_KEY,
    LIMIT,
    META,
    OBJECT,
    RANGE,
    RUN_ID,
    STATUS,
    json_of,
)
from failpath_otel.local.api.page import answers, flow_answers
from failpath_otel.local.api.page.compare_routes import ComparePage
from failpath_otel.local.api.page.error_answers import ErrorList
from failpath_otel.local.api.page.grid_routes import Grid
from failpath_otel.local.api.page.logs.answers import LogDetailsAnswer, RunLogs
from failpath_otel.local.api.page.route import PREFIX
from failpath_otel.local.api.page.step_routes import StepList
from failpath_otel.local.board.order import SORTS

_RUN: Final = (RUN_ID, FLOW)
_SORT: Final = Parameter(
    "sort", "The order; one with a minus begins with the highest.", {"type": "string", "enum": [*SORTS]}
)

PAGE_OPERATIONS: Final = (
    Operation("GET", f"{PREFIX}/status", "Return the state of the receiver.", json_of(answers.StatusAnswer)),
    Operation(
        "GET",
        f"{PREFIX}/flows",
        "Return flows with their figures, those that need eyes first or in another order.",
        json_of(flow_answers.FlowList),
        (
            *RANGE,
            Parameter(
                "sort", "The order; one with a minus begins with the highest.", {"type": "string", "enum": [*SORTS]}
            ),
            Parameter("text", "A part of the key of a flow, in any case.", TEXT),
            Parameter("order", "The `order` of an answer before, to have its rows in their places.", COUNT),
            Parameter("offset", "How many flows to leave out.", COUNT),
            LIMIT,
        ),
    ),
    Operation("GET", f"{PREFIX}/flow-keys", "Return the keys of all flows.", json_of(flow_answers.FlowKeys)),
    Operation(
        "GET",
        f"{PREFIX}/flow/{{flow_key}}",
        "Return one flow: its graph, its errors, its newest runs.",
        json_of(flow_answers.FlowPage),
        (FLOW_KEY, *RANGE),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/grid/{{flow_key}}",
        "Return the newest runs of a flow with the outcome of each step.",
        json_of(Grid),
        (FLOW_KEY, *RANGE, BEFORE, LIMIT),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/steps",
        "Return the steps that a node of a graph stands for.",
        json_of(StepList),
        (FLOW, Parameter("node", "The key of the node.", TEXT)),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/errors",
        "Return the errors that happen most, in any flow.",
        json_of(ErrorList),
        (*RANGE, LIMIT),
    ),
    Operation(
        "GET",
        f"{PREFIX}/runs",
        "Return runs as rows, the newest activity first.",
        json_of(answers.RowList),
        (
            FLOW,
            Parameter("status", "One status; `running` leaves out `silent` and `gone`.", STATUS),
            Parameter("text", "A text that is in the run, in any case.", TEXT),
            ERROR,
            META,
            Parameter("pinned", "`1`: pinned runs only.", TEXT),
            *RANGE,
            BEFORE,
            LIMIT,
        ),
    ),
    Operation(
        "GET",
        f"{PREFIX}/run/{{run_id}}",
        "Return one run with its graph; a long one without its events, metadata and stacks.",
        json_of(answers.RunPage),
        (*_RUN, Parameter("whole", "`1`: with all of it, however long.", TEXT)),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/run-events/{{run_id}}",
        "Return a part of the events of a run, in order.",
        json_of(answers.EventPage),
        (*_RUN, Parameter("offset", "How many events to leave out.", COUNT), LIMIT),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/run-step/{{run_id}}",
        "Return all that is known of one attempt of a step.",
        json_of(answers.StepPage),
        (*_RUN, Parameter("step", "The key of the step.", TEXT), Parameter("span", "The span of the attempt.", TEXT)),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/compare/{{run_id}}",
        "Compare a run with another one of its flow.",
        json_of(ComparePage),
        (*_RUN, Parameter("with", "The id of the other run; by default that of the last good one before it.", TEXT)),
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/logs/{{run_id}}",
        "Return the newest logs of a run, each with the step that it belongs to.",
        json_of(RunLogs),
        _RUN,
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{PREFIX}/log/{{log_id}}",
        "Return what a line does not show of a log record.",
        json_of(LogDetailsAnswer),
        (Parameter("log_id", "The id of a log record.", TEXT, where="path"),),
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
    Operation("POST", f"{PREFIX}/sample", "Load the sample.", json_of(OBJECT), status=201),
    Operation("DELETE", f"{PREFIX}/sample", "Delete the sample.", json_of(OBJECT)),
)
