"""The ways that ``requests`` knows: through a proxy of the environment, and by a session of the user's."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.auth import AuthBase
from requests.utils import select_proxy

from failpath_otel.delivery.http.adapter import BoundedAdapter
from failpath_otel.delivery.http.connection_errors import Means
from failpath_otel.report import warn_once

if TYPE_CHECKING:
    from typing_extensions import Self


class ProxyChannel:
    """Connections of our own by the adapter of ``requests``: through a proxy, or to a URL that it has to encode.

    Requests go to the adapter and not through a ``requests.Session``, because that is where tracers of all vendors
    put their patches: what we send must not appear in the application's traces. Only a session reads the proxies and
    certificates of the environment.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._adapter: Final = BoundedAdapter()
        self._settings: Any = None

    def post(self, body: bytes, headers: dict[str, str], timeout: float | None) -> "_Reply":
        """See :class:`Channel`."""
        if self._settings is None:
            with requests.Session() as session:
                settings = session.merge_environment_settings(self._url, {}, True, None, None)  # noqa: FBT003
            self._settings = {**settings, "verify": settings.get("verify") or True}
        request = requests.Request("POST", self._url, data=body, headers=headers).prepare()
        return _Reply(self._adapter.send(request, timeout=timeout, **self._settings))

    def means(self) -> Means:
        """See :class:`Channel`."""
        return _means(self._url, self._settings or {})

    def close(self) -> None:
        """See :class:`Channel`."""
        self._adapter.close()


class SessionChannel:
    """A session of the user's, with its adapters, proxies, certificates and hooks. It is the user's to close."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url: Final = url
        self._session: Final = session

    def post(self, body: bytes, headers: dict[str, str], timeout: float | None) -> "_Reply":
        """See :class:`Channel`."""
        if getattr(self._session, "verify", True) is False and self._url.lower().startswith("https:"):
            warn_once("verify", "Failpath: certificates are not verified, because the given session has verify=False")
        answer = self._session.post(
            self._url,
            data=body,
            headers=headers,
            auth=_Sent(headers.get("Authorization")),
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )
        return _Reply(answer)

    def means(self) -> Means:
        """See :class:`Channel`."""
        return _means(self._url, self._session.merge_environment_settings(self._url, {}, None, None, None))

    def close(self) -> None:
        """Do nothing."""


class _Reply:
    """An answer of ``requests``."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer: Final = answer
        self.status: Final = answer.status_code
        self.headers: Final[Mapping[str, str]] = answer.headers

    def read(self, limit: int) -> bytes:
        """See :class:`Reply`."""
        content = b""
        for chunk in self._answer.iter_content(limit):
            content += chunk
            if len(content) > limit:
                break
        return content

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answer.close()


def _means(url: str, settings: Mapping[str, Any]) -> Means:
    bundle = settings.get("verify")
    return Means(url, select_proxy(url, settings.get("proxies")) or "", bundle if isinstance(bundle, str) else "")


class _Sent(AuthBase):
    """Sets the key last of all; without an ``auth`` of our own, requests would let a ``.netrc`` entry replace it."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        return request
