"""The error for one record that Failpath rejected."""

from failpath_otel.errors import RecordsRejectedError, RejectedRecord
from failpath_otel.records.record import decode


def rejection(data: bytes, reason: str) -> RecordsRejectedError:
    """Says which record it was, as far as it can be read, and the server's reason."""
    record = decode(data)
    if record is None:
        return RecordsRejectedError(f"a record was rejected: {reason or 'no reason given'}", 1, reason)
    which = RejectedRecord(record.flow_key, record.run_id, record.step_key, record.status, record.id)
    text = f"the {which.status} of {which.step_key} in {which.flow_key} was rejected: {reason or 'no reason given'}"
    return RecordsRejectedError(text, 1, reason, which)
