"""Parameters and bodies that operations have in common."""

from typing import Final

from failpath_otel.local.api.openapi.operation import TEXT, TIME, Content, Parameter, Schema
from failpath_otel.local.api.parameters import MAX_LIMIT, STATUSES
from failpath_otel.local.api.scripts.run_filter import DERIVED

STATUS: Final[Schema] = {"type": "string", "enum": [*STATUSES, *DERIVED]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
OBJECT: Final[Schema] = {"type": "object"}

FLOW: Final = Parameter("flow", "The key of a flow.", TEXT)
RUN_ID: Final = Parameter("run_id", "The id of a run.", TEXT, where="path")
FLOW_KEY: Final = Parameter("flow_key", "The key of a flow.", TEXT, where="path")
RANGE: Final = (
    Parameter("from", "The beginning of a range of time, for the newest activity of runs.", TIME),
    Parameter("to", "The end of the range, which is not in it.", TIME),
)
LIMIT: Final = Parameter(
    "limit", "The most items of the answer.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
)
BEFORE: Final = Parameter("before", "The `next` of the answer before.", TEXT)
ERROR: Final = Parameter(
    "error", "The fingerprint of an error that a step ended with.", {"type": "string", "pattern": "^[0-9a-f]{16}$"}
)
META: Final = Parameter(
    "meta", "A pair `name=value` of the metadata of a step.", {"type": "string", "pattern": "="}, repeated=True
)


def json_of(form: object) -> Content:
    """Return JSON of this form: a type or a schema."""
    return Content(form=form)
