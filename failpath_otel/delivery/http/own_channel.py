"""The way of one request to the endpoint, over connections of our own."""

from typing import TYPE_CHECKING, Final

from failpath_otel.delivery.http.channel import Reply
from failpath_otel.delivery.http.connection_errors import Means
from failpath_otel.delivery.http.direct_channel import DirectChannel, is_plain
from failpath_otel.delivery.http.proxy_choice import proxy_for

if TYPE_CHECKING:
    from failpath_otel.delivery.http.requests_channels import ProxyChannel


class OwnChannel:
    """Straight to the endpoint, or through the proxy of the environment, which is read before the first request.

    A ``.netrc`` entry, which would replace the project key, is not read. Certificates are always verified: what is
    patched into ``requests`` or ``ssl`` to turn that off for a whole process is not meant for the project key, and an
    application that does mean it passes a session of its own.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._way: DirectChannel | ProxyChannel | None = None

    def post(self, body: bytes, headers: dict[str, str], timeout: float | None) -> Reply:
        """See :class:`Channel`."""
        if self._way is None:
            self._way = _find_way(self._url, headers)
        return self._way.post(body, headers, timeout)

    def means(self) -> Means:
        """See :class:`Channel`."""
        return Means(self._url) if self._way is None else self._way.means()

    def close(self) -> None:
        """See :class:`Channel`."""
        if self._way is not None:
            self._way.close()


def _find_way(url: str, headers: dict[str, str]) -> "DirectChannel | ProxyChannel":
    if is_plain(url, headers) and not proxy_for(url):
        return DirectChannel(url)
    # Here, because it takes as long to import as OpenTelemetry does, and few programs need it.
    from failpath_otel.delivery.http.requests_channels import ProxyChannel  # noqa: PLC0415

    return ProxyChannel(url)


def import_way(url: str) -> None:
    """Import what requests to a URL need: on a thread of ours, the locks of an import may be gevent's."""
    _find_way(url, {})
