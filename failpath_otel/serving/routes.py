"""Requests for routes that a server does not have."""

from typing import Final

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send


class UnknownRoutes:
    """Counts the requests that match no route of an application; they get the same response as before."""

    def __init__(self, app: Starlette) -> None:
        self.requests = 0
        """Their number."""
        self._answer: Final = app.router.default
        app.router.default = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""
        self.requests += 1
        await self._answer(scope, receive, send)
