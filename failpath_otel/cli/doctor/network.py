"""The way to the endpoint: proxies of the environment, and the certificates that are trusted."""

import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from failpath_otel.cli.doctor.finding import Finding
from failpath_otel.delivery.http.connection_errors import Means
from failpath_otel.delivery.http.proxy_choice import proxy_for
from failpath_otel.delivery.http.tls_context import bundle_of_environment, verifying_context

_PROXY: Final = "proxy"
_CERTIFICATES: Final = "certificates"
_UNHEEDED: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def check_proxy(url: str) -> list[Finding]:
    """Check the proxy for a URL; show no user name and no password."""
    proxy = proxy_for(url)
    if proxy:
        name = Means(url, proxy).proxy_name
        address = _address(proxy)
        facts = {"proxy": address, "source": name}
        if not address:
            advice = f"set {name} to one like http://proxy.example:3128"
            return [Finding(_PROXY, "problem", f"{name} is not the URL of a proxy", advice, facts)]
        return [Finding(_PROXY, "ok", f"requests go through {address} ({name})", "", facts)]
    if {urlsplit(url).scheme, "all"} & getproxies().keys():
        return [Finding(_PROXY, "ok", "none for this host: no_proxy names it", "", {"proxy": None})]
    return [Finding(_PROXY, "ok", "none", "", {"proxy": None})]


def _address(proxy: str) -> str:
    """Return scheme, host and port; empty if there is no host."""
    try:
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"


def check_certificates(url: str) -> list[Finding]:
    """Check the trusted certificates for a URL."""
    if urlsplit(url).scheme != "https":
        return [Finding(_CERTIFICATES, "ok", "not needed: the endpoint is asked without TLS", "", {"bundle": None})]
    bundle = bundle_of_environment()
    name = Means(url, "", bundle).bundle_name if bundle else ""
    facts = {"bundle": bundle or None, "source": name or "certifi"}
    try:
        verifying_context(bundle)
    except OSError as error:
        text = f"{name or 'certifi'} names {bundle or 'a file'}, which cannot be used: {error.strerror or error}"
        advice = f"name a file of certificates in PEM form by {name}, or unset it" if name else "install certifi again"
        return [Finding(_CERTIFICATES, "problem", text, advice, facts)]
    found = [Finding(_CERTIFICATES, "ok", f"{bundle} ({name})" if bundle else "those of certifi", "", facts)]
    unheeded = [each for each in _UNHEEDED if os.environ.get(each)]
    if unheeded and not bundle:
        text = f"{' and '.join(unheeded)} {'are' if unheeded[1:] else 'is'} not heeded"
        found.append(Finding(_CERTIFICATES, "note", text, "REQUESTS_CA_BUNDLE names the certificates to trust"))
    if os.environ.get("SSLKEYLOGFILE"):
        text = "SSLKEYLOGFILE is set: the keys of all connections are written to a file"
        found.append(Finding(_CERTIFICATES, "warning", text, "unset it outside of debugging"))
    return found
