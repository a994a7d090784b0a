"""Responses as JSON, and the one form of every refusal."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response


def json_response(
    content: msgspec.Struct | Mapping[str, object], status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return *content* as JSON."""
    return Response(msgspec.json.encode(content), status_code, headers, media_type="application/json")


class Failure(msgspec.Struct, frozen=True):
    """Why a request was refused, in one line."""

    error: str


def failure(reason: str, status_code: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that is no success: ``{"error": reason}``."""
    return json_response(Failure(reason), status_code, headers)
