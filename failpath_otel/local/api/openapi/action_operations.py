"""The operations that change runs or hand them on, and what has happened to them."""

from typing import Final

from failpath_otel.local.api.actions.notice_routes import NoticeList
from failpath_otel.local.api.actions.run_actions import PinAnswer, RunCount
from failpath_otel.local.api.actions.run_files import EXPORT, IMPORT, ImportAnswer
from failpath_otel.local.api.openapi.operation import TEXT, Operation, Parameter, Schema
from failpath_otel.local.api.openapi.parameters import FLOW, FLOW_KEY, RUN_ID, json_of
from failpath_otel.local.api.page.route import PREFIX
from failpath_otel.local.files.run_file import PARTS, RunFile

_PART: Final[Schema] = {"type": "string", "enum": [*PARTS]}
_RUN: Final = (RUN_ID, FLOW)

ACTION_OPERATIONS: Final = (
    Operation(
        "GET",
        f"{EXPORT}/{{run_id}}",
        "Return a run as a file.",
        json_of(RunFile),
        (*_RUN, Parameter("without", "A part that is left out.", _PART, repeated=True)),
        refusals=(404, 422),
    ),
    Operation(
        "POST",
        IMPORT,
        "Store the run in a file, unless exactly that is there already.",
        json_of(ImportAnswer),
        body=(json_of(RunFile),),
        refusals=(400, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        f"{PREFIX}/notices",
        "Return what has begun to fail since the answer before.",
        json_of(NoticeList),
        (Parameter("after", "The `cursor` of the answer before; without it nothing has.", TEXT),),
    ),
    Operation("GET", f"{PREFIX}/count", "Return how many runs there are.", json_of(RunCount), (FLOW,)),
    Operation("PUT", f"{PREFIX}/pin/{{run_id}}", "Pin a run.", json_of(PinAnswer), _RUN, refusals=(404,)),
    Operation("DELETE", f"{PREFIX}/pin/{{run_id}}", "Let go of a run.", json_of(PinAnswer), _RUN, refusals=(404,)),
    Operation("DELETE", f"{PREFIX}/runs", "Delete every run.", json_of(RunCount)),
    Operation("DELETE", f"{PREFIX}/flow/{{flow_key}}", "Delete the runs of a flow.", json_of(RunCount), (FLOW_KEY,)),
    Operation("DELETE", f"{PREFIX}/run/{{run_id}}", "Delete a run.", json_of(RunCount), _RUN, refusals=(404,)),
)
