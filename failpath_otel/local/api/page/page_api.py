"""The API of the page: its routes, each of which reads the current state of the store."""

from starlette.routing import Route

from failpath_otel.local.api.actions.notice_routes import NoticeRoutes
from failpath_otel.local.api.actions.run_actions import RunActions
from failpath_otel.local.api.page.answers import Row, row_of
from failpath_otel.local.api.page.compare_routes import CompareRoutes
from failpath_otel.local.api.page.error_routes import ErrorRoutes
from failpath_otel.local.api.page.flow_routes import FlowRoutes
from failpath_otel.local.api.page.grid_routes import GridRoutes
from failpath_otel.local.api.page.logs.routes import LogRoutes
from failpath_otel.local.api.page.run_routes import RunRoutes
from failpath_otel.local.api.page.sample_routes import SampleRoutes
from failpath_otel.local.api.page.status_route import StatusRoute
from failpath_otel.local.api.page.step_routes import StepRoutes
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.run_row import RunRow


class PageApi:
    """The routes of the page's API."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parts = (
            StatusRoute(receiver),
            FlowRoutes(receiver),
            GridRoutes(receiver),
            RunRoutes(receiver),
            RunActions(receiver),
            CompareRoutes(receiver),
            StepRoutes(receiver),
            ErrorRoutes(receiver),
            LogRoutes(receiver),
            NoticeRoutes(receiver),
            SampleRoutes(receiver),
        )

    @property
    def routes(self) -> list[Route]:
        """All routes but that of the stream."""
        return [route for part in self._parts for route in part.routes]

    def row(self, row: RunRow) -> Row:
        """Return the row of a run as it is now, for the stream."""
        return row_of(row, self._receiver.monitor.liveness(row.key) if row.status == "running" else None)
