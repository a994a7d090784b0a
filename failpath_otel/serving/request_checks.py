"""Checks of the sender: no web page, and where there is a token, a request that presents it."""

import hmac
import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

_BEARER: Final = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)


NOT_ALLOWED: Final = " of this origin: --allow-origin names those that may send"


def refuse_web_pages(request: Request, what: str, *, remedy: bool = False) -> None:
    """Raise ``HTTPException`` (403) for a request that a web page makes; ``what`` names what it sends.

    Requests of allowed origins come without the header (:mod:`failpath_otel.serving.origins`); with ``remedy`` the
    refusal names the option that allows some.

    A browser that was tricked into taking this server for the page's own (DNS rebinding) still names the page as
    ``Origin``.
    """
    if "origin" in request.headers:
        raise HTTPException(403, f"{what} are not accepted from web pages{NOT_ALLOWED if remedy else ''}")


def bearer_of(authorization: str) -> str | None:
    """Return the token of an ``Authorization`` header, if it has one."""
    found = _BEARER.fullmatch(authorization)
    return None if found is None else found[1]


def check_bearer(authorization: str, token: str | None) -> None:
    """Raise ``HTTPException`` (401) if there is a token and an ``Authorization`` header does not present it."""
    if token is None:
        return
    given = bearer_of(authorization)
    if given is None or not hmac.compare_digest(given.encode(), token.encode()):
        refusal = "expected the header 'Authorization: Bearer <token>' with the token of this server"
        raise HTTPException(401, refusal, headers={"WWW-Authenticate": "Bearer"})
