"""All operations of the HTTP interface, in the order of the document; a test compares them with the routes."""

from typing import Final

from failpath_otel.local.api.openapi.action_operations import ACTION_OPERATIONS
from failpath_otel.local.api.openapi.operation import Operation
from failpath_otel.local.api.openapi.page_operations import PAGE_OPERATIONS
from failpath_otel.local.api.openapi.parameters import OBJECT, json_of
from failpath_otel.local.api.openapi.script_operations import SCRIPT_OPERATIONS

OPENAPI: Final = "/api/openapi.json"

OPERATIONS: Final = (
    *SCRIPT_OPERATIONS,
    *PAGE_OPERATIONS,
    *ACTION_OPERATIONS,
    Operation("GET", OPENAPI, "Return this document.", json_of(OBJECT)),
)
