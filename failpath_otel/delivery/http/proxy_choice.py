"""Which proxy the environment names for a URL: the one that ``requests`` would take."""

from urllib.parse import urlsplit
from urllib.request import getproxies


def proxy_for(url: str) -> str:
    """Return the URL of the proxy; empty: there is none, or ``NO_PROXY`` has an exception for this host."""
    parts = urlsplit(url)
    keys = {f"{kind}{host}" for kind in (parts.scheme, "all") for host in ("", f"://{parts.hostname}")}
    if keys.isdisjoint(getproxies()):
        return ""
    # Here, because it takes as long to import as OpenTelemetry does; and it knows what an exception is.
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415

    return select_proxy(url, get_environ_proxies(url)) or ""
