"""The route for OTLP: stores the steps among the spans, from programs in any language."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from failpath_otel.local.api.store_log import log_failure
from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import ReceivedEvent, Store
from failpath_otel.otlp.http_messages import ROUTE as ROUTE
from failpath_otel.otlp.reader import Receipt, SpanReader
from failpath_otel.otlp.reading import ReadSpan, Watch
from failpath_otel.otlp.requests.intake import ServiceUnavailable
from failpath_otel.otlp.route import OtlpRoute
from failpath_otel.records.content import RecordContent
from failpath_otel.records.rules import StepRule
from failpath_otel.serving.counts import ServerCounts


def span_route(
    store: Store,
    clock: Callable[[], int],
    rules: Sequence[StepRule] | None = None,
    counts: ServerCounts | None = None,
    watch: Watch | None = None,
) -> OtlpRoute:
    """Return the route that stores the steps among the spans of each request; ``rules`` may make steps of others.

    ``watch`` is called with each body as well.
    """
    counted = counts or ServerCounts()
    # The sender has chosen to put a stack on its span, and it stays on this machine.
    reader = SpanReader(RecordContent(capture_stack=True, rules=rules, many_services=True), watch)

    def store_steps(spans: Iterator[ReadSpan]) -> Receipt:
        receipt = Receipt()
        for records in reader.read(spans, receipt):
            _store(records, receipt, store, clock())
        return receipt

    return OtlpRoute(store_steps, reading=reader.reading, on_request=partial(counted.count_traces, "http"))


def _store(records: list[bytes], receipt: Receipt, store: Store, now: int) -> None:
    received_events: list[ReceivedEvent] = []
    for data in records:
        payload = data.decode()
        try:
            received_events.append(ReceivedEvent(decode_event(payload), payload))
        except ValueError as error:
            receipt.warn(f"a record could not be stored: {error}")
    try:
        store.add(received_events, now)
    except StoreError as error:  # the database is busy or full
        log_failure(error)
        raise ServiceUnavailable(str(error), 1) from None
