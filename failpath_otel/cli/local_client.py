"""Fetches runs from a local receiver, over HTTP."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from ssl import SSLContext, SSLError
from time import monotonic
from typing import Final, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import msgspec

from failpath_otel.addresses import DEFAULT_PORT, DEFAULT_URL, is_loopback
from failpath_otel.flows.seen import SeenFlow, SeenFlows
from failpath_otel.local.runs.view import RunChanges, RunList, RunView

_TIMEOUT_SECONDS: Final = 10.0
_FILE_SECONDS: Final = 60.0
"""How long the receiver may take over a file: the largest takes a busy receiver many seconds to write, or to read."""

_ANSWER_SECONDS: Final = 60.0
"""For all of an answer, whose pieces have the time above each; it can be many runs, over a slow line."""
_MAX_BYTES: Final = 256 * 1_048_576
_PIECE_BYTES: Final = 1_048_576
_NO_SUCH_RUN: Final = (404, "no such run")
_UNAVAILABLE: Final = 503
_T = TypeVar("_T")


class ReceiverError(Exception):
    """The receiver gave no usable response; the text is one line that says why."""

    exit_code = 1


class NoUrlError(ReceiverError):
    """The address is no URL: a mistake in the arguments."""

    exit_code = 2


class UnavailableError(ReceiverError):
    """There is no receiver at the address at the moment, or it is busy."""


class NoSuchRunError(ReceiverError):
    """The receiver has no such run."""


@dataclass(frozen=True)
class RunQuery:
    """Which runs are asked for; ``since`` is an RFC 3339 time, ``meta`` are pairs ``name=value``."""

    flow_key: str | None = None
    run_id: str | None = None
    statuses: Collection[str] = ()
    since: str | None = None
    meta: Collection[str] = ()


class ImportedRun(msgspec.Struct, rename="camel"):
    """The run of a file, and whether the receiver has stored it; otherwise it had exactly that already."""

    flow_key: str
    run_id: str
    new: bool


class _Answer(msgspec.Struct):
    error: str


def fetch_runs(url: str, query: RunQuery, *, limit: int = 10, token: str | None = None) -> list[RunView]:
    """Return the newest runs of the receiver at ``url`` that are asked for. Raise ``ReceiverError``."""
    parameters: dict[str, str | list[str] | None] = {"limit": str(limit), "flow": query.flow_key}
    parameters |= {"status": [*query.statuses], "since": query.since, "meta": [*query.meta]}
    return fetch(url, "/api/runs", parameters, token, RunList).runs


def fetch_run(url: str, run_id: str, *, flow_key: str | None = None, token: str | None = None) -> RunView:
    """Return the run with this id, of ``flow_key`` or else the newest with it. Raise ``ReceiverError``."""
    path = f"/api/runs/{quote(run_id, safe='', errors='replace')}"
    try:
        return fetch(url, path, {"flow": flow_key}, token, RunView)
    except NoSuchRunError:
        raise _no_such_run(url, run_id, flow_key) from None


def fetch_flows(url: str, *, token: str | None = None) -> list[SeenFlow]:
    """Return the flows that the receiver at ``url`` has seen. Raise ``ReceiverError``."""
    found: list[SeenFlow] = []
    after: str | None = None
    while True:
        page = fetch(url, "/api/flows", {"after": after}, token, SeenFlows)
        found += page.flows
        after = page.next
        if after is None:
            return found


def fetch_changes(
    url: str, query: RunQuery, *, after: str | None, wait: int = 0, token: str | None = None
) -> RunChanges:
    """Return which of the runs that are asked for have changed since the cursor ``after``. Raise ``ReceiverError``.

    Without any, the response comes after ``wait`` seconds. ``after=None`` returns nothing but a cursor.
    """
    parameters: dict[str, str | list[str] | None] = {"flow": query.flow_key, "run": query.run_id, "wait": str(wait)}
    parameters |= {"status": [*query.statuses], "meta": [*query.meta], "after": after}
    return fetch(url, "/api/changes", parameters, token, RunChanges)


def fetch_file(
    url: str, run_id: str, *, flow_key: str | None = None, without: Collection[str] = (), token: str | None = None
) -> bytes:
    """Return a run as the text of a file. Raise ``ReceiverError``."""
    path = f"/api/export/{quote(run_id, safe='', errors='replace')}"
    try:
        return _ask(url, path, {"flow": flow_key, "without": [*without]}, token, seconds=_FILE_SECONDS)
    except NoSuchRunError:
        raise _no_such_run(url, run_id, flow_key) from None


def send_file(url: str, text: bytes, *, token: str | None = None) -> ImportedRun:
    """Have the receiver at ``url`` store the run in a file. Raise ``ReceiverError``."""
    return _decoded(url, _ask(url, "/api/import", {}, token, text, seconds=_FILE_SECONDS), ImportedRun)


def fetch(
    url: str, path: str, parameters: Mapping[str, str | list[str] | None], token: str | None, kind: type[_T]
) -> _T:
    """Return the answer of the receiver at ``url`` to a request for ``path``. Raise ``ReceiverError``."""
    return _decoded(url, _ask(url, path, parameters, token), kind)


def _decoded(url: str, body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ReceiverError(f"the server at {url} is not a Failpath receiver") from None


def _no_such_run(url: str, run_id: str, flow_key: str | None) -> NoSuchRunError:
    of_flow = "" if flow_key is None else f" of flow {flow_key!r}"
    return NoSuchRunError(f"no such run{of_flow} at {url}: {run_id!r}")


def _ask(
    url: str,
    path: str,
    parameters: Mapping[str, str | list[str] | None],
    token: str | None,
    content: bytes | None = None,
    *,
    seconds: float | None = None,
) -> bytes:
    """Return the body of the answer to a request, which posts the content, if there is any."""
    given = {name: value for name, value in parameters.items() if value is not None}
    query = urlencode(given, doseq=True, errors="replace")
    # The receiver is on this machine; a proxy from the environment would look for it on the proxy's host.
    _check(url)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=_context(url)))
    headers = {} if content is None else {"Content-Type": "application/json"}
    address = f"{url.rstrip('/')}{path}?{query}"
    request = Request(address, content, headers)  # noqa: S310 - the scheme has been looked at
    if token is not None:
        # Not sent on by a redirect.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with opener.open(request, timeout=seconds or _TIMEOUT_SECONDS) as response:
            return _read(response)
    except HTTPError as error:
        with error:
            answer = (error.code, _reason(error))
        raise _error_of(answer)(f"{url} answered {answer[0]}: {answer[1]}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, SSLError):
            hint = "REQUESTS_CA_BUNDLE names the certificates that are trusted"
            raise ReceiverError(f"{url} could not be asked: TLS failed ({reason}); {hint}") from None
        raise UnavailableError(f"no receiver at {url} ({_words(reason)}){_how_to_start(url)}") from None


def _read(response: HTTPResponse) -> bytes:
    """Return the whole body; a server that never comes to its end is none that can be used."""
    deadline = monotonic() + _ANSWER_SECONDS
    body = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        body += piece
        if len(body) > _MAX_BYTES:
            raise HTTPException(f"its answer is larger than {_MAX_BYTES} bytes")
        if monotonic() > deadline:
            raise TimeoutError(f"its answer has not come to an end within {_ANSWER_SECONDS:.0f} s")
    if response.length:  # `read1` does not say so
        raise IncompleteRead(bytes(body), response.length)
    return bytes(body)


def _error_of(answer: tuple[int, str]) -> type[ReceiverError]:
    if answer == _NO_SUCH_RUN:
        return NoSuchRunError
    return UnavailableError if answer[0] == _UNAVAILABLE else ReceiverError


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


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise NoUrlError(f"expected a URL like {DEFAULT_URL}, got {url!r}")


def _how_to_start(url: str) -> str:
    """Return the command that starts a receiver at ``url``; of another machine that is not known."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        return ""
    port = parts.port or 80
    return f"; start one with: failpath-otel local{'' if port == DEFAULT_PORT else f' --port {port}'}"


def _words(reason: object) -> object:
    """Return a reason without the number of the system's error."""
    return getattr(reason, "strerror", None) or reason


def _reason(error: HTTPError) -> str:
    try:
        return msgspec.json.decode(error.read(), type=_Answer).error
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, HTTPException):
        return error.reason or "no reason given"
