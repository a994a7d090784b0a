"""Fetches runs from a local receiver, over HTTP."""

from http.client import HTTPException
from ssl import SSLContext, SSLError
from typing import Final, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import msgspec

from failpath_otel.addresses import DEFAULT_PORT, DEFAULT_URL
from failpath_otel.flows.seen import SeenFlow, SeenFlows
from failpath_otel.local.runs.view import RunList, RunView

_TIMEOUT_SECONDS: Final = 10.0
_T = TypeVar("_T")


class ReceiverError(Exception):
    """The receiver gave no usable response; the text is one line that says why."""


class _Answer(msgspec.Struct):
    error: str


def fetch_runs(url: str, *, limit: int = 10, flow_key: str | None = None, token: str | None = None) -> list[RunView]:
    """Return the newest runs of the receiver at ``url``, of one flow if given. Raise ``ReceiverError``."""
    return fetch(url, "/api/runs", {"limit": str(limit), "flow": flow_key}, token, RunList).runs


def fetch_run(url: str, run_id: str, *, flow_key: str | None = None, token: str | None = None) -> RunView:
    """Return the run with this id, of ``flow_key`` or else the newest with it. Raise ``ReceiverError``."""
    return fetch(url, f"/api/runs/{quote(run_id, safe='', errors='replace')}", {"flow": flow_key}, token, RunView)


def fetch_flows(url: str, *, token: str | None = None) -> list[SeenFlow]:
    """Return the flows that the receiver at ``url`` has seen. Raise ``ReceiverError``."""
    return fetch(url, "/api/flows", {}, token, SeenFlows).flows


def fetch(url: str, path: str, parameters: dict[str, str | None], token: str | None, kind: type[_T]) -> _T:
    """Return the answer of the receiver at ``url`` to a request for ``path``. Raise ``ReceiverError``."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None}, errors="replace")
    # The receiver is on this machine; a proxy from the environment would look for it on the proxy's host.
    port = _port(url)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=_context(url)))
    request = Request(f"{url.rstrip('/')}{path}?{query}")  # noqa: S310 - the scheme has been looked at
    if token is not None:
        # Not sent on by a redirect.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            body = response.read()
    except HTTPError as error:
        with error:
            raise ReceiverError(f"{url} answered {error.code}: {_reason(error)}") from None
    except (OSError, HTTPException) as error:
        start = "failpath-otel local" if port == DEFAULT_PORT else f"failpath-otel local --port {port}"
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, SSLError):
            hint = "REQUESTS_CA_BUNDLE names the certificates that are trusted"
            raise ReceiverError(f"{url} could not be asked: TLS failed ({reason}); {hint}") from None
        raise ReceiverError(f"no receiver at {url} ({reason}); start one with: {start}") from None
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ReceiverError(f"the server at {url} is not a Failpath receiver") from None


def _context(url: str) -> SSLContext | None:
    """Return what is trusted: the same as where records are delivered."""
    if not url.startswith("https:"):
        return None
    # Imported here, because most receivers are asked without TLS.
    from failpath_otel.delivery.http.tls_context import bundle_of_environment, verifying_context  # noqa: PLC0415

    bundle = bundle_of_environment()
    try:
        return verifying_context(bundle)
    except OSError as error:
        raise ReceiverError(f"the certificates in {bundle} cannot be used: {error.strerror or error}") from None


def _port(url: str) -> int:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ReceiverError(f"expected a URL like {DEFAULT_URL}, got {url!r}")
    return port or {"http": 80, "https": 443}[parts.scheme]


def _reason(error: HTTPError) -> str:
    try:
        return msgspec.json.decode(error.read(), type=_Answer).error
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, HTTPException):
        return error.reason or "no reason given"
