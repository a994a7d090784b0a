"""Holds answers against the OpenAPI document of the receiver."""

import json
import re
from functools import cache
from typing import Any, Final

import jsonschema_rs

from failpath_otel.local.api.openapi.document import document
from failpath_otel.local.api.openapi.operations import OPERATIONS

DOCUMENT: Final[dict[str, Any]] = json.loads(json.dumps(document(OPERATIONS)))
"""The document as a client reads it."""


def check_answer(method: str, path: str, status: int, content: Any) -> None:
    """Fails if this answer is not one of those that the document has for its operation."""
    operation = operation_of(method, path)
    assert operation is not None, f"{method} {path} is not in the document"
    answers = operation["responses"]
    assert str(status) in answers, f"{method} {path} answered {status}, and the document has {sorted(answers)}"
    schema = answers[str(status)]["content"]["application/json"]["schema"]
    error = next(_validator(json.dumps(schema)).iter_errors(content), None)
    assert error is None, f"{method} {path} {status}: {error}"


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation of a path, as it stands in an address."""
    for template, operations in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(template))
        if re.fullmatch(pattern, path, re.DOTALL) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


@cache
def _validator(schema: str) -> Any:
    closed = _closed(DOCUMENT["components"])
    return jsonschema_rs.Draft202012Validator({**_closed(json.loads(schema)), "components": closed})


def _closed(schema: Any) -> Any:
    """The same schema, to which a field that it does not name is an error."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed
