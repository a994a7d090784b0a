"""The most frequent errors of all flows, for the page."""

from msgspec.structs import asdict
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.error_answers import MAX_ERRORS, ErrorList, errors_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.api.parameters import limit_in, range_in
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.errors.error_queries import NEWEST_FAILURES


class ErrorRoutes:
    """The route of errors."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [route("errors", self.errors)]

    def errors(self, request: Request) -> ErrorList:
        """Return the errors that happen most, in any flow, the most frequent first."""
        query = request.query_params
        within, limit = range_in(query), min(limit_in(query.get("limit"), MAX_ERRORS), MAX_ERRORS)
        revision, now = heading(self._receiver)
        counts = self._receiver.store.errors.of_all_flows(within)
        found = errors_of(self._receiver, counts, None, within, limit)
        counted = sum(count.failed + count.recovered for count in counts)
        return ErrorList(**asdict(found), revision=revision, now=now, counted=counted, window=NEWEST_FAILURES)
