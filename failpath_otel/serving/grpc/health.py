"""gRPC's own health service, by which Kubernetes and load balancers ask whether a server takes work."""

from collections.abc import Callable, Collection
from typing import Any, Final

import grpc
from starlette.exceptions import HTTPException

from failpath_otel.serving.grpc.calls import Calls, Context
from failpath_otel.serving.threads import in_thread

CHECK: Final = "/grpc.health.v1.Health/Check"

_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
"""``HealthCheckResponse``: a field, a number."""


class HealthService(grpc.GenericRpcHandler):
    """Responds to ``Check``. Of the two other methods, which the service may leave out, ``Watch`` holds a call each.

    Args:
        calls: those of the server.
        services: the services that are as healthy as the server.
        why_not_ready: returns, on a thread, why the server takes no work; ``None`` if it does.
    """

    def __init__(self, calls: Calls, services: Collection[str], why_not_ready: Callable[[], str | None]) -> None:
        self._calls: Final = calls
        self._handler: Final = calls.handler(self._check)
        self._why_not_ready: Final = why_not_ready
        # A request is empty, or a name: its field, its length, its text.
        self._known: Final = {b"", *(b"\n" + bytes([len(name)]) + name.encode() for name in services)}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - as it is declared
        """Return the handler of a method."""
        return self._handler if handler_call_details.method == CHECK else None

    async def _check(self, context: Context) -> bytes:
        if await self._calls.read(context) not in self._known:
            raise HTTPException(404, "unknown service")
        if self._calls.draining or await self._calls.complete(in_thread(self._why_not_ready)) is not None:
            return _NOT_SERVING
        return _SERVING
