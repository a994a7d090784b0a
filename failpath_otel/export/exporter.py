"""The span exporter: Failpath records from spans that have ended, for a pipeline that somebody else runs."""

from collections.abc import Iterator, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from failpath_otel import limits
from failpath_otel.export import wire
from failpath_otel.export.options import Options
from failpath_otel.export.process import ThisProcess
from failpath_otel.export.record import Record, encode
from failpath_otel.export.translation import span_records
from failpath_otel.report import report_fault


class FailpathSpanExporter(SpanExporter):
    """Sends ended spans that are steps to Failpath, both events at once; other spans pass by.

    For a ``BatchSpanProcessor`` of your own. OpenTelemetry hands spans to an exporter only when they have ended, so a
    step is not seen while it runs, and not at all if the process dies in it: :class:`FailpathSpanProcessor` reports
    ``running`` live.

    Args:
        project_key: the Failpath project. Default: ``FAILPATH_PROJECT_KEY``.
        endpoint: where Failpath is. Default: ``FAILPATH_DEV_ENDPOINT``, else ``https://api.failpath.dev``.
        capture_stack: send the stack trace of an error along.

    Raises:
        ConfigurationError: the project key is missing, or an option cannot work.
    """

    def __init__(
        self, *, project_key: str | None = None, endpoint: str | None = None, capture_stack: bool = False
    ) -> None:
        # Here, because `requests` takes as long to import as OpenTelemetry does, and only who delivers needs it.
        from failpath_otel.export.delivery import Delivery  # noqa: PLC0415

        options = Options.resolve(project_key, endpoint, capture_stack=capture_stack)
        self._capture_stack = options.capture_stack
        self._delivery = Delivery(options)
        self._process = ThisProcess()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends the records of all steps among ``spans`` and waits for the answers.

        Returns:
            ``SUCCESS`` if every record was delivered or there was none, else ``FAILURE``.
        """
        complete = True
        records: list[Record] = []
        for span in spans:
            try:
                records += span_records(span, self._process.info, capture_stack=self._capture_stack)
            except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
                report_fault("translating a span")
                complete = False
        # Spans come in the order of their ends, but records go out in the order in which things happened.
        records.sort(key=lambda record: record.timestamp)
        for batch in _batches(records):
            complete = self._delivery.send(batch).dropped == 0 and complete
        return SpanExportResult.SUCCESS if complete else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - OpenTelemetry's signature
        """Nothing waits between two calls of :meth:`export`, so this is ``True`` at once."""
        return True

    def shutdown(self) -> None:
        """Closes the connections."""
        self._delivery.close()


def _batches(records: Sequence[Record]) -> Iterator[list[bytes]]:
    """The records, encoded, in batches within the limits of the wire contract."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        data = encode(record)
        full = len(batch) == limits.MAX_BATCH_RECORDS
        if batch and (full or wire.body_size(size + len(data), len(batch) + 1) > limits.MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield batch
