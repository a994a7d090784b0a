"""The contents of records by the options."""

from failpath_otel.options.options import Options
from failpath_otel.records.content import RecordContent


def content_of(options: Options, *, many_services: bool = False) -> RecordContent:
    """Return the record content that *options* ask for; ``many_services`` as for :class:`RecordContent`."""
    return RecordContent(
        capture_stack=options.capture_stack,
        send_error_messages=options.send_error_messages,
        send_process=options.send_process,
        default_metadata=options.default_metadata,
        redact=options.redact,
        rules=options.rules,
        many_services=many_services,
    )
