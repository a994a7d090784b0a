"""Checks of ``Host``, ``Origin`` and token in front of the application, and the security headers: decision 0021."""

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from failpath_otel.addresses import LOOPBACK, is_loopback
from failpath_otel.local.api.responses import failure
from failpath_otel.otlp.http_messages import ROUTE as SPANS
from failpath_otel.records.request import ROUTE as EVENTS
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.origins import with_origins
from failpath_otel.serving.other_signals import ROUTES as OTHER_SIGNALS
from failpath_otel.serving.refusals import refusal_of
from failpath_otel.serving.request_checks import NOT_ALLOWED, bearer_of

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

OTLP: Final = frozenset({SPANS, *OTHER_SIGNALS.values()})
"""The routes of OTLP."""

_SIGNALS: Final = {EVENTS: "events", SPANS: "traces", **{path: signal for signal, path in OTHER_SIGNALS.items()}}
"""What is sent to a route."""

HEALTH: Final = "/healthz"
"""The health of the receiver; without the token too, because probes have none and it reveals nothing of runs."""

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
    """The IP address that the receiver listens on, and the token of all requests, if there is one.

    Web pages of ``origins`` may send by OTLP.
    """

    host: str = LOOPBACK
    token: str | None = None
    origins: Collection[str] = ()


def guarded(app: ASGIApp, access: Access, counts: ServerCounts | None = None) -> ASGIApp:
    """Return ``app`` behind all checks; each response has the headers, also if ``app`` fails.

    ``counts`` are those of requests, with what senders are refused here.
    """
    checks = [_HostCheck(access.host).refusal, _refusal_of_origin]
    if access.token is not None:
        checks.append(_TokenCheck(access.token).answer)
    # Outside of the checks, because a preflight has no token; refusals have the headers too, or pages cannot read them.
    return with_origins(
        _Guard(app, checks, counts or ServerCounts()), access.origins, OTLP, has_token=access.token is not None
    )


@dataclass(eq=False)
class _Guard:
    """Makes the checks in turn, of which each may respond in place of the application, and adds the headers."""

    app: ASGIApp
    checks: Sequence[Callable[[Scope], Response | None]]
    counts: ServerCounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        answers = (check(scope) for check in self.checks if scope["type"] == "http")
        answer = next((answer for answer in answers if answer is not None), None)
        signal = _SIGNALS.get(scope["path"]) if answer is not None else None
        if answer is not None and signal is not None:
            self.counts.count_refusal(signal, "http", refusal_of(HTTPException(answer.status_code)))
        await (answer or self.app)(scope, receive, send_with_headers)


class _HostCheck:
    """Responds 400 to a request for another host than this receiver, against DNS rebinding: decision 0021.

    Events, and spans with a token, may come under any name, as from a container.
    """

    def __init__(self, host: str) -> None:
        self._names = _LOOPBACK_NAMES | {str(ipaddress.ip_address(host))}
        self._any_address = not is_loopback(host)
        if self._any_address:
            name = socket.gethostname().lower()
            self._names |= {name, name.partition(".")[0]}

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response in place of the application's, if there is one."""
        path, headers = scope["path"], Headers(scope=scope)
        if path == EVENTS or (path in OTLP and "authorization" in headers) or self._knows(headers.get("host")):
            return None
        expected = "an address or the name of this machine" if self._any_address else "a loopback name"
        return failure(f"expected {expected} in the Host header", 400)

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


def _refusal_of_origin(scope: Scope) -> Response | None:
    """Respond 403 to requests of web pages of another origin, and to every page that would send events or spans.

    Browsers send ``Origin`` with all but simple reads, and ``Sec-Fetch-Site`` with those too.
    """
    path, headers = scope["path"], Headers(scope=scope)
    origins = headers.getlist("origin")
    own = f"{scope['scheme']}://{headers.get('host', '')}".lower()
    if path == EVENTS or path in OTLP:
        what = _SIGNALS[path]
        remedy = "" if path == EVENTS else NOT_ALLOWED
        return failure(f"{what} are not accepted from web pages{remedy}", 403) if origins else None
    if any(origin.lower() != own for origin in origins):
        return failure("not accepted from a page of another origin", 403)
    if path.startswith("/api/") and headers.get("sec-fetch-site") == "cross-site":
        return failure("not accepted from another site", 403)
    return None


class _TokenCheck:
    """Responds 401 to a request without the token, as a bearer or in the cookie of a browser.

    A browser gets the cookie by opening an address with ``?token=…``. The cookie holds a hash, because browsers send
    it to every server on this host, on any port.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._cookie_value = hashlib.sha256(b"failpath-otel local\0" + self._token).hexdigest()

    def answer(self, scope: Scope) -> Response | None:
        """Return the response in place of the application's, if there is one."""
        path: str = scope["path"]
        if path == HEALTH:
            return None
        headers = Headers(scope=scope)
        events, page = path == EVENTS, not path.startswith(("/api/", "/v1/"))
        sent = events or path in OTLP
        # Receivers on one host share their cookies, but not their ports.
        cookie = f"failpath_local_{(scope.get('server') or ('', 0))[1]}"
        if page and scope["method"] in ("GET", "HEAD") and (redirect := self._redirect(scope, cookie)):
            return redirect
        bearer = bearer_of(headers.get("authorization", ""))
        is_given = bearer is not None and hmac.compare_digest(bearer.encode(), self._token)
        if is_given or (not sent and self._has_cookie(headers.getlist("cookie"), cookie)):
            return None
        if page and "text/html" in headers.get("accept", ""):
            refusal = Response(_LOCKED_PAGE, 401, media_type="text/html")
        else:
            shown = "project key" if events else "token"
            refusal = failure(f"expected the header 'Authorization: Bearer <{shown}>' with this receiver's token", 401)
        refusal.headers["www-authenticate"] = "Bearer"
        refusal.headers["cache-control"] = "no-store"
        return refusal

    def _redirect(self, scope: Scope, cookie: str) -> Response | None:
        """Redirect to the address without the token, if that was right: it should not stay in a history."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given or not hmac.compare_digest(given[-1].encode(errors="replace"), self._token):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Some servers include the query, against the specification. Two leading slashes would name another host.
        raw_path = (scope.get("raw_path") or b"").partition(b"?")[0]
        path = "/" + quote(raw_path or scope["path"], safe="/%").lstrip("/")
        response = Response(status_code=303, headers={"location": f"{path}?{rest}" if rest else path})
        is_secure = scope["scheme"] == "https"
        response.set_cookie(cookie, self._cookie_value, httponly=True, samesite="strict", secure=is_secure)
        response.headers["cache-control"] = "no-store"
        return response

    def _has_cookie(self, lines: Iterable[str], name: str) -> bool:
        cookies = (part.strip().partition("=") for line in lines for part in line.split(";"))
        expected = self._cookie_value.encode()
        return any(given == name and hmac.compare_digest(value.encode(), expected) for given, _, value in cookies)
