"""Who may ask the receiver: checks of ``Host``, ``Origin`` and token, and the headers that hold a browser to them."""

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from failpath_otel.otlp.messages import ROUTE as SPANS
from failpath_otel.records import wire
from failpath_otel.serving.access import bearer_of
from failpath_otel.serving.server import LOOPBACK

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}

HEALTH: Final = "/healthz"
"""Says that the receiver serves; with or without the token, because a probe has none, and it tells nothing of runs."""

_HOST: Final = re.compile(r"(?P<name>[^:\[\]@/\s]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)
_LOOPBACK_NAMES: Final = frozenset({"localhost", LOOPBACK, "::1"})
_LOCKED_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Failpath</title>
<h1>This receiver asks for its token</h1>
<p>Open <code>/?token=</code> followed by the token that it was started with.
If you have just done so, <a href="/">go on to the page</a>.</p>
</html>
"""


@dataclass(frozen=True)
class Access:
    """What the receiver listens on, an IP address, and the token that every request has to show, if there is one."""

    host: str = LOOPBACK
    token: str | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: str


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that IP address."""
    return ipaddress.ip_address(host).is_loopback


def guarded(app: ASGIApp, access: Access) -> ASGIApp:
    """``app`` behind all checks; the headers are on every answer, also on those of a failure of ``app``."""
    if access.token is not None:
        app = _TokenCheck(app, access.token)
    return _SecurityHeaders(_HostCheck(_OriginCheck(app), access.host))


class _SecurityHeaders:
    """Puts what a browser should know before it does anything with an answer on every one of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _HostCheck:
    """Answers 400 to a question that was put to a name which is not this receiver's.

    Without a token, reading needs nothing that a web page does not have, so it must not be able to read by giving its
    own name this machine's address (DNS rebinding). A receiver that others can reach also answers to IP addresses,
    which cannot be given away like that, and to the machine's name. Events may come under any name, as from a
    container: they need a key and must not come from a page. So may spans that come with one.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = _LOOPBACK_NAMES | {str(ipaddress.ip_address(host))}
        self._any_address = not is_loopback(host)
        if self._any_address:
            name = socket.gethostname().lower()
            self._names |= {name, name.partition(".")[0]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._lets_in(scope["path"], Headers(scope=scope)):
            expected = "an address or the name of this machine" if self._any_address else "a loopback name"
            await _refusal(f"expected {expected} in the Host header", 400)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _lets_in(self, path: str, headers: Headers) -> bool:
        return path == wire.ROUTE or (path == SPANS and "authorization" in headers) or self._knows(headers.get("host"))

    def _knows(self, host: str | None) -> bool:
        found = _HOST.fullmatch(host or "")
        if found is None:
            return False
        name = found["name"].lower()
        if name.startswith("["):
            return self._is_mine(name[1:-1], 6)
        return name in self._names or self._is_mine(name, 4)

    def _is_mine(self, text: str, version: int) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return address.version == version and (self._any_address or str(address) in self._names)


class _OriginCheck:
    """Answers 403 to what a web page of another origin sends, and to every page that would send events or spans.

    A browser names the page in ``Origin`` with everything but plain reading, and no page can keep it from that. Where
    a question was put from another site it says so as well, which also covers reading.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._reason(scope["path"], Headers(scope=scope)) if scope["type"] == "http" else None
        await (self._app if reason is None else _refusal(reason, 403))(scope, receive, send)

    @staticmethod
    def _reason(path: str, headers: Headers) -> str | None:
        origins = headers.getlist("origin")
        if path in (wire.ROUTE, SPANS):
            return f"{'events' if path == wire.ROUTE else 'spans'} are not accepted from web pages" if origins else None
        own = f"http://{headers.get('host', '')}".lower()
        if any(origin.lower() != own for origin in origins):
            return "not accepted from a page of another origin"
        if path.startswith("/api/") and headers.get("sec-fetch-site") == "cross-site":
            return "not accepted from another site"
        return None


class _TokenCheck:
    """Answers 401 to a request that does not show the token: as a bearer, or by the cookie of a browser.

    A browser gets that cookie by opening an address with ``?token=…``. It holds a hash: it goes to every server on
    this host, whatever its port, and the token may be in use as a project key as well.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie_value = hashlib.sha256(b"failpath-otel local\0" + self._token).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope) if scope["type"] == "http" and scope["path"] != HEALTH else None
        await (self._app if answer is None else answer)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        """The answer instead of the application's, if there is one."""
        path: str = scope["path"]
        headers = Headers(scope=scope)
        events, page = path == wire.ROUTE, not path.startswith(("/api/", "/v1/"))
        sent = events or path == SPANS
        # Two receivers on one host share their cookies, but not their port.
        cookie = f"failpath_local_{(scope.get('server') or ('', 0))[1]}"
        if page and scope["method"] in ("GET", "HEAD") and (redirect := self._redirect(scope, cookie)):
            return redirect
        if self._bears(headers) or (not sent and self._has_cookie(headers.getlist("cookie"), cookie)):
            return None
        if page and "text/html" in headers.get("accept", ""):
            refusal = Response(_LOCKED_PAGE, 401, media_type="text/html")
        else:
            shown = "project key" if events else "token"
            refusal = _refusal(f"expected the header 'Authorization: Bearer <{shown}>' with this receiver's token", 401)
        refusal.headers["www-authenticate"] = "Bearer"
        refusal.headers["cache-control"] = "no-store"
        return refusal

    def _redirect(self, scope: Scope, cookie: str) -> Response | None:
        """To the same address without the token, if that was the right one: it should not stay in a history."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given or not hmac.compare_digest(given[-1].encode(errors="replace"), self._token):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Some put the query there as well, against the specification. Two slashes in front would name another host.
        raw_path = (scope.get("raw_path") or b"").partition(b"?")[0]
        path = "/" + quote(raw_path or scope["path"], safe="/%").lstrip("/")
        response = Response(status_code=303, headers={"location": f"{path}?{rest}" if rest else path})
        response.set_cookie(cookie, self._cookie_value, httponly=True, samesite="strict")
        response.headers["cache-control"] = "no-store"
        return response

    def _bears(self, headers: Headers) -> bool:
        given = bearer_of(headers.get("authorization", ""))
        return given is not None and hmac.compare_digest(given.encode(), self._token)

    def _has_cookie(self, lines: Iterable[str], name: str) -> bool:
        for line in lines:
            for part in line.split(";"):
                given, _, value = part.strip().partition("=")
                if given == name and hmac.compare_digest(value.encode(), self._cookie_value.encode()):
                    return True
        return False


def _refusal(reason: str, status_code: int) -> Response:
    return Response(msgspec.json.encode(_Failure(reason)), status_code, media_type="application/json")
