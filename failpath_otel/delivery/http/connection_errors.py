"""Why nothing could be asked, in words that name what to correct: a variable, a file, an option."""

import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from failpath_otel.records.request import PROXY_PASSWORD, Answer, misconfigured, no_response, read_answer
from failpath_otel.scrubbing.values import type_name

_MAX_DEPTH: Final = 16
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that `requests` heeds, in its order."""


@dataclass(frozen=True, slots=True)
class Means:
    """By what an endpoint is asked: its URL, the proxy if there is one, and the certificates that are trusted."""

    url: str
    proxy: str = ""
    """Its URL, which may hold a password, so it is not shown."""

    bundle: str = ""
    """The file or directory; empty: the one of `requests`."""

    @property
    def proxy_name(self) -> str:
        """Where the proxy comes from."""
        for name in (f"{urlsplit(self.url).scheme}_proxy", "all_proxy"):
            for spelled in (name, name.upper()):
                if os.environ.get(spelled) == self.proxy:
                    return spelled
        return "a setting for proxies"

    @property
    def bundle_name(self) -> str:
        """Where the bundle comes from."""
        return next((name for name in _BUNDLES if os.environ.get(name) == self.bundle), "`verify` of the session")


def timed_out(error: BaseException) -> bool:
    """Return whether an exception says that the time was up."""
    if isinstance(error, TimeoutError) or _is_of_requests(error, "Timeout"):
        return True
    # The answer's body may be read when it is, and that has another name.
    return _is_of_requests(error, "RequestException") and "timed out" in str(error).lower()


def is_cut(error: BaseException) -> bool:
    """Return whether an exception says that the connection ended before there was an answer."""
    if _is_of_requests(error, "RequestException"):
        return _is_of_requests(error, "ConnectionError") and not _is_of_requests(error, "Timeout")
    return isinstance(error, (OSError, http.client.HTTPException)) and not isinstance(error, TimeoutError)


def obstacle(error: BaseException, means: Means) -> Answer:
    """Return the answer that stands for an exception in the place of one."""
    found = _missing_bundle(error, means) or _of_proxy(error, means) or _of_tls(error, means) or _of_host(error, means)
    if found:
        return found
    if _is_of_requests(error, "InvalidHeader"):
        return misconfigured("could not be asked: the option `headers` has one that cannot be sent")
    if isinstance(error, (OSError, http.client.HTTPException)) and not isinstance(error, ValueError):
        through = f" through the proxy of {means.proxy_name}" if means.proxy else ""
        return no_response(f"could not be reached{through} ({_innermost(error)})")
    if isinstance(error, MemoryError):
        return no_response("could not be asked: there is no memory for it")
    return misconfigured(f"could not be asked ({type_name(error)})")


def proxy_password(answer: Answer, means: Means) -> Answer:
    """Return the answer of a proxy that wants a password, which names the proxy."""
    return replace(answer, failure=f"{answer.failure}: {means.proxy_name}") if means.proxy else answer


def _missing_bundle(error: BaseException, means: Means) -> Answer | None:
    # Of `requests`, which looks for it itself, and has no more to it.
    if not means.bundle or not isinstance(error, OSError) or _is_of_requests(error, "RequestException"):
        return None
    if Path(means.bundle).exists():
        return None
    return misconfigured(f"could not be asked: {means.bundle_name} names {means.bundle}, which does not exist")


def _of_proxy(error: BaseException, means: Means) -> Answer | None:
    if not means.proxy:
        return None
    name = means.proxy_name
    if _is_of_requests(error, "InvalidSchema"):
        return misconfigured(f"could not be asked: {name} names a SOCKS proxy, for which PySocks is not installed")
    # An older `requests` does not look itself, and lets the connection find out.
    if any(_is_of_requests(each, "InvalidURL") or isinstance(each, http.client.InvalidURL) for each in _chain(error)):
        return misconfigured(f"could not be asked: {name} is not the URL of a proxy that can be used")
    for each in _chain(error):
        tunnel = _TUNNEL.search(str(each)) if isinstance(each, OSError) else None
        if tunnel:
            return _of_tunnel(int(tunnel[1]), means)
        if type(each).__name__ == "SOCKS5AuthError":
            return misconfigured(f"could not be asked: the proxy of {name} refused the user name or the password")
    return None


def _of_tunnel(status: int, means: Means) -> Answer:
    answer = read_answer(status, {}, b"", 0)
    if status == PROXY_PASSWORD:
        return proxy_password(answer, means)
    failure = f"could not be asked: the proxy of {means.proxy_name} answered {status}"
    return no_response(failure) if answer.retryable and not answer.persistent else misconfigured(failure)


def _of_tls(error: BaseException, means: Means) -> Answer | None:
    for each in _chain(error):
        if not isinstance(each, ssl.SSLError):
            continue
        if isinstance(each, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return None  # the other end has gone away
        reason = getattr(each, "reason", None) or (each.args or [type_name(each)])[-1]  # ours has none
        why = getattr(each, "verify_message", "") or str(reason).replace("_", " ").lower()
        if getattr(each, "library", None) == "SSL" and not isinstance(each, ssl.SSLCertVerificationError):
            # The two ends do not agree, as where the other one speaks no TLS: no matter of certificates to trust.
            return misconfigured(f"could not be asked: TLS failed ({why})", misaddressed=not means.proxy)
        trusted = f"{means.bundle_name} names {means.bundle}" if means.bundle else "REQUESTS_CA_BUNDLE can name others"
        unheeded = "" if means.bundle or not os.environ.get("SSL_CERT_FILE") else ", SSL_CERT_FILE is not heeded"
        return misconfigured(f"could not be asked: TLS failed ({why}); trusted certificates: {trusted}{unheeded}")
    return None


def _of_host(error: BaseException, means: Means) -> Answer | None:
    for each in _chain(error):
        # A name server that cannot be reached is a matter of the moment.
        if isinstance(each, socket.gaierror) and each.errno != socket.EAI_AGAIN:
            if means.proxy and not means.proxy.lower().startswith("socks"):
                return misconfigured(f"could not be asked: {means.proxy_name} names a proxy whose host does not exist")
            return misconfigured(
                f"could not be found: there is no host {urlsplit(means.url).hostname}", misaddressed=True
            )
    return None


def _innermost(error: BaseException) -> str:
    """Return the first cause, as `ConnectionRefusedError`; `requests` wraps it in less precise ones."""
    return type_name([each for each in _chain(error) if isinstance(each, (OSError, http.client.HTTPException))][-1])


def _is_of_requests(error: BaseException, name: str) -> bool:
    """Return whether an error is one of `requests`, which only programs that need it have imported."""
    kind = getattr(sys.modules.get("requests.exceptions"), name, None)
    return kind is not None and isinstance(error, kind)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Return the exception, and those that it was raised from."""
    found: BaseException | None = error
    for _ in range(_MAX_DEPTH):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__
