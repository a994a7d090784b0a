"""Requests for routes that a server does not have."""

from typing import Final

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send


class UnknownRoutes:
    """Counts what no route of an application takes, and has it answered as before."""

    def __init__(self, app: Starlette) -> None:
        self.requests = 0
        """How many there were."""
        self._answer: Final = app.router.default
        app.router.default = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        self.requests += 1
        await self._answer(scope, receive, send)
