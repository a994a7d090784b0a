"""The route for OTLP logs: keeps those of steps."""

from collections.abc import Iterator
from functools import partial

from failpath_otel.local.api.store_log import log_failure
from failpath_otel.local.logs.log_intake import LogIntake
from failpath_otel.local.store.database import StoreError
from failpath_otel.otlp.logs.messages import logs_in
from failpath_otel.otlp.logs.record import LogReceipt, ReadLog
from failpath_otel.otlp.logs.route import LogRoute
from failpath_otel.otlp.requests.intake import Intake, ServiceUnavailable
from failpath_otel.serving.counts import ServerCounts


def log_route(logs: LogIntake, counts: ServerCounts) -> LogRoute:
    """Return the route that keeps the logs of steps."""

    def take(found: Iterator[ReadLog]) -> LogReceipt:
        try:
            return logs.take(found)
        except StoreError as error:  # the database is busy or full
            log_failure(error)
            raise ServiceUnavailable(str(error), 1) from None

    # One at a time: events and spans come first.
    return LogRoute(Intake(logs_in, take, at_a_time=1), on_request=partial(counts.count_logs, protocol="http"))
