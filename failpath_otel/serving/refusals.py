"""Refusals of requests, each with its reason in a word, by which it is counted."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException

_REASONS: Final = {
    400: "malformed",
    401: "unauthorized",
    403: "web_page",
    404: "unknown_route",
    405: "unknown_method",
    413: "too_large",
    415: "media_type",
    503: "unavailable",
}
"""By the status, where an exception has no reason of its own."""


class Refusal(NamedTuple):
    """A response that is no success: its status, and the reason in a word."""

    status: int
    reason: str


class Refused(HTTPException):
    """An exception for a request whose reason does not follow from the status.

    Args:
        status_code: of the response.
        detail: what the response says.
        headers: of the response.
        reason: the reason in a word.
    """

    def __init__(self, status_code: int, detail: str, headers: Mapping[str, str] | None = None, *, reason: str) -> None:
        super().__init__(status_code, detail, headers)
        self.reason: Final = reason


def refusal_of(error: HTTPException) -> Refusal:
    """Return what is counted of a request for which an exception was raised."""
    given = error.reason if isinstance(error, Refused) else None
    return Refusal(error.status_code, given or _REASONS.get(error.status_code, "other"))


FAULT: Final = Refusal(500, "fault")
"""A fault of this package."""
