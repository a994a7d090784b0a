"""Spans into the store: OTLP, so that a program in any language shows up on the page."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import Arrival, Store
from failpath_otel.otlp.messages import ROUTE as ROUTE
from failpath_otel.otlp.reader import Reader, Receipt
from failpath_otel.otlp.route import Busy, OtlpRoute
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record, encode
from failpath_otel.records.rules import StepRule

_log: Final = logging.getLogger(__name__)


def span_route(store: Store, clock: Callable[[], int], rules: Sequence[StepRule] | None = None) -> OtlpRoute:
    """The route that stores the steps among the spans which it takes; which are, ``rules`` may say as well."""

    def put(records: list[Record], receipt: Receipt) -> None:
        arrivals: list[Arrival] = []
        for record in records:
            payload = encode(record).decode()
            try:
                arrivals.append(Arrival(decode_event(payload), payload))
            except ValueError as error:
                receipt.warn(f"a record could not be stored: {error}")
        try:
            store.add(arrivals, clock())
        except StoreError as error:  # the database is busy or full
            _log.error("%s", error)
            raise Busy(str(error), 1) from None

    # Who sends a stack by OTLP has put it on the span; it stays on this machine.
    reader = Reader(RecordContent(capture_stack=True, rules=rules), put)
    return OtlpRoute(reader.take, every=bool(rules))
