"""Makes the OpenAPI document: paths of operations, schemas of the types that they answer with."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from failpath_otel.local.api.openapi.operation import Content, Operation, Parameter, Schema
from failpath_otel.local.api.responses import Failure

API_VERSION: Final = "1.0.0"
"""Changes by semantic versioning: fields and operations may be added, and what is there keeps its meaning."""

_COMPONENT: Final = "#/components/schemas/{name}"
_REASONS: Final = {
    400: "The request makes no sense, and is not to be sent again.",
    401: "The token is missing or wrong.",
    403: "The client, or the page that asks, is not allowed to.",
    404: "There is no such thing.",
    405: "The path has no such method.",
    409: "What is there does not allow it.",
    413: "The body is too large.",
    415: "The media type or its encoding is not taken.",
    421: "The name of the host is not one of this receiver.",
    422: "The content cannot be read.",
    429: "Too many requests at once; send it again later.",
    503: "The database is busy or full, or the receiver ends; send it again later.",
}
_ALWAYS: Final = (401, 403, 421)
"""What the checks of a client refuse, whatever it asks for."""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document, with everything in a fixed order."""
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types, ref_template=_COMPONENT)
    for component in components.values():
        if "description" in component:
            component["description"] = component["description"].partition("\n\nExample:\n")[0]  # it is in Python
    schema_of = dict(zip(map(id, types), schemas, strict=True))

    def described(content: Content) -> dict[str, Any]:
        form = content.form
        schema = {} if form is None else form if isinstance(form, dict) else schema_of[id(form)]
        return {content.media_type: {"schema": schema}}

    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Failpath local receiver",
            "version": API_VERSION,
            "description": "Times are RFC 3339 in UTC. New fields may be added to any answer.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _types(operations: Sequence[Operation]) -> list[Any]:
    found: dict[int, Any] = {id(Failure): Failure}
    for operation in operations:
        for content in (operation.answer, *operation.body):
            if content.form is not None and not isinstance(content.form, dict):
                found[id(content.form)] = content.form
    return list(found.values())


def _operation(operation: Operation, described: Callable[[Content], dict[str, Any]]) -> dict[str, Any]:
    failure = described(Content(form=Failure))
    answers: dict[str, Any] = {str(operation.status): {"description": "Done.", "content": described(operation.answer)}}
    statuses = sorted({*_ALWAYS, *operation.refusals, *((400,) if operation.parameters else ()), 503})
    answers |= {str(status): {"description": _REASONS[status], "content": failure} for status in statuses}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": answers,
    }
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        content: dict[str, Any] = {}
        for form in operation.body:
            content |= described(form)
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: Schema = {"type": "array", "items": parameter.schema} if parameter.repeated else parameter.schema
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": schema,
    }
