"""The way of one request to the endpoint and back."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from failpath_otel.delivery.http.connection_errors import Means

if TYPE_CHECKING:
    from typing_extensions import Self


class Reply(Protocol):
    """An answer whose body is not read yet. Leave its block to give back the connection, or to close it."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found by their names in title case at least."""
        ...

    def read(self, limit: int) -> bytes:
        """Return the decoded body, or more than ``limit`` bytes of its beginning."""
        ...

    def __enter__(self) -> "Self": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Channel(Protocol):
    """Posts bodies; used by one thread at a time."""

    def post(self, body: bytes, headers: dict[str, str], timeout: float | None) -> Reply:
        """Post ``body`` and return the answer, its body not read yet; a redirect is not followed.

        Raises:
            OSError, HTTPException: there is no answer.
        """
        ...

    def means(self) -> Means:
        """Return by what the endpoint is asked."""
        ...

    def close(self) -> None:
        """Close the connections; a later :meth:`post` opens new ones."""
