"""Makes the pipeline to Failpath."""

from failpath_otel.delivery.at_exit import drain_at_exit
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.sender import Nowhere
from failpath_otel.journal.location import JournalLocation
from failpath_otel.options.options import Options


def pipeline_to_failpath(options: Options) -> Pipeline:
    """The pipeline that ``options`` describe, flushed at the end of the interpreter."""
    if not options.enabled:
        return Pipeline(Nowhere())
    # Here, because `requests` takes as long to import as OpenTelemetry does, and only who delivers needs it.
    from failpath_otel.delivery.http.delivery import Delivery  # noqa: PLC0415

    pipeline = Pipeline(
        Delivery(options),
        max_records=options.max_queue_size,
        on_error=options.on_error,
        journal=None if options.journal is None else JournalLocation(options.journal, options.binding),
    )
    drain_at_exit(pipeline)
    pipeline.stand_by()
    return pipeline
