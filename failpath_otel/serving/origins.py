"""Lets web pages of named origins use some routes (CORS, by the Fetch standard); all others stay closed to them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PREFLIGHT_SECONDS: Final = 3600
"""How long a browser may keep the response to a preflight; browsers have shorter limits of their own."""


def with_origins(app: ASGIApp, origins: Collection[str], paths: Collection[str], *, has_token: bool) -> ASGIApp:
    """Return ``app``, some of whose paths accept requests of web pages from these origins.

    Every other request with an ``Origin`` reaches ``app`` as it is, which refuses it.

    Args:
        app: the application, which refuses requests with an ``Origin`` on these paths.
        origins: as browsers serialise them: scheme, host, and port if it is not the default of the scheme.
        paths: the paths, compared as they are.
        has_token: whether senders present a token.
    """
    if not origins:
        return app
    cors = CORSMiddleware(
        _Admission(app, frozenset(origins)),
        allow_origins=tuple(origins),
        allow_methods=("POST",),
        allow_headers=("Content-Type", "Content-Encoding", *(("Authorization",) if has_token else ())),
        # `sendBeacon`, by which older exporters send, always has credentials, and needs this. No cookie counts here.
        allow_credentials=True,
        expose_headers=("Retry-After",),
        max_age=_PREFLIGHT_SECONDS,
    )
    return _ByPath(app, cors, frozenset(paths))


@dataclass(eq=False)
class _ByPath:
    """Has one application for some paths, and another one for all else."""

    app: ASGIApp
    special: ASGIApp
    paths: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.special if scope["type"] == "http" and scope["path"] in self.paths else self.app
        await app(scope, receive, send)


@dataclass(eq=False)
class _Admission:
    """Removes the header ``Origin`` of an allowed origin: requests without one are accepted further on."""

    app: ASGIApp
    origins: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"origin"]
        if len(given) == 1 and given[0].decode("latin-1") in self.origins:
            headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
            scope = {**scope, "headers": headers}
        await self.app(scope, receive, send)
