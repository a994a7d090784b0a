"""Takes the bodies of requests, which HTTP and gRPC share: one budget, one number of requests at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Final, Generic, TypeVar

import anyio
from starlette.exceptions import HTTPException

from failpath_otel.otlp.http_messages import TooManySpansError
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import ReadSpan
from failpath_otel.report import warn_once
from failpath_otel.serving.body import BodyBudget, decompress, too_large_decompressed
from failpath_otel.serving.refusals import Refused
from failpath_otel.serving.threads import in_thread

MAX_BODY_BYTES: Final = 16 * 1_048_576
"""The most bytes of one request, decompressed."""

MAX_HELD_BYTES: Final = 4 * MAX_BODY_BYTES
"""The most bytes of all requests together, before decompression."""

_LARGE_BYTES: Final = 1_048_576
_LARGE_AT_A_TIME: Final = 2
_AT_A_TIME: Final = 32
_REPLACED: Final = (
    "Failpath: the files of this server were replaced, and requests are answered by 503: restart it (%s)."
)

Take = Callable[[Iterator[ReadSpan]], Receipt]
"""Takes the spans of one request, on a worker thread, or raises :class:`ServiceUnavailable`."""


class ServiceUnavailable(Refused):
    """Nothing more can be accepted now.

    Args:
        detail: what the response says.
        pause: seconds after which a retry makes sense.
        reason: the reason in a word, for counts.
    """

    def __init__(self, detail: str, pause: float, reason: str = "unavailable") -> None:
        # Not 429: older exporters of OpenTelemetry for Python do not retry after it.
        self.retry_after: Final = max(ceil(pause), 1)
        super().__init__(503, detail, {"Retry-After": str(self.retry_after)}, reason=reason)


_Receipt = TypeVar("_Receipt")


@dataclass(eq=False)
class Intake(Generic[_Receipt]):
    """Takes bodies; for one event loop.

    Args:
        parse: returns what is in a body of a media type. Raises ``ValueError`` or :class:`TooManySpansError`.
        take: takes that, on a worker thread.
        at_a_time: how many small requests are read at a time; of large ones there are two at most.
    """

    parse: Callable[[bytes, str], Iterator[Any]]
    take: Callable[[Iterator[Any]], _Receipt]
    at_a_time: int = _AT_A_TIME

    def __post_init__(self) -> None:
        self.budget = BodyBudget(MAX_HELD_BYTES, lambda: ServiceUnavailable("too much at once", 1, "too_much"))
        """What requests take the bytes of their bodies from."""
        # Decoded spans take several times the memory of the body.
        self._limiters: dict[int, anyio.CapacityLimiter] = {}

    async def receive(self, body: bytes, kind: str, *, gzipped: bool) -> _Receipt:
        """Take what is in a body of this media type.

        Raises ``HTTPException``: 400 if it holds none, 413 for too many or a body that is too large when it is
        decompressed; and what ``take`` raises.
        """
        if len(body) <= _LARGE_BYTES:
            receipt = await self._on_thread(body, kind, self.at_a_time, _LARGE_BYTES if gzipped else None)
            if receipt is not None:
                return receipt
        receipt = await self._on_thread(
            body, kind, min(self.at_a_time, _LARGE_AT_A_TIME), MAX_BODY_BYTES if gzipped else None
        )
        if receipt is None:
            raise too_large_decompressed(MAX_BODY_BYTES)
        return receipt

    async def _on_thread(self, body: bytes, kind: str, at_a_time: int, most: int | None) -> _Receipt | None:
        """Read a body, of which at most ``most`` bytes are decompressed; return ``None`` if it has more."""
        limiter = self._limiters.get(at_a_time)
        if limiter is None:
            # Made on use: it belongs to the event loop.
            limiter = self._limiters[at_a_time] = anyio.CapacityLimiter(at_a_time)
        work = partial(self._take, body, kind, most)
        return await in_thread(work, limiter)

    def _take(self, body: bytes, kind: str, most: int | None) -> _Receipt | None:
        if most is not None:
            decompressed = decompress(body, most)
            if decompressed is None:
                return None
            body = decompressed
        try:
            found = self.parse(body, kind)
        except TooManySpansError as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        except ImportError as error:
            # An upgrade has replaced its files before the first request of this kind. Senders drop what is answered by
            # 500, and send this again to the server that is started next.
            warn_once("files were replaced", _REPLACED, error)
            raise ServiceUnavailable("the files of this server were replaced: restart it", 5) from error
        return self.take(found)
