"""The names on the span: the whole contract between the two halves of this package.

``steps`` writes these names, ``records`` and ``spans`` read them, and neither side knows the other. A span from any
tracer, library or language that carries :data:`FLOW_KEY` and :data:`STEP_KEY` is a step.
"""

from typing import Final, Literal

SCOPE_NAME: Final = "failpath_otel"
"""The instrumentation scope of every span that this package opens."""

FLOW_KEY: Final = "failpath.flow.key"
"""Span attribute, string: the flow. Set at span start, on steps and on the span of a run."""

RUN_ID: Final = "failpath.run.id"
"""Span attribute, string: the run. Set at span start; where it is missing, the trace id in hex is the run id."""

STEP_KEY: Final = "failpath.step.key"
"""Span attribute, string: the step. Set at span start; the span of a run has none."""

PARENT_SPAN_ID: Final = "failpath.step.parent_span_id"
"""Span attribute, string: the span id, 16 hex digits, of the innermost step of the same run around the step.

Set at span start; missing on a step that is inside no other one of its run.
"""

FLOW_KEY_HEADER: Final = "failpath-flow-key"
RUN_ID_HEADER: Final = "failpath-run-id"
"""Headers, of a request or of a message, by which a run goes on in another service: percent-encoded UTF-8.

In W3C baggage the entries have the names of the attributes, :data:`FLOW_KEY` and :data:`RUN_ID`.
"""

STEP_STATUS: Final = "failpath.step.status"
"""Span attribute, string: the outcome, set when it is known.

On a manual record and on a skip it is set at span start, so that no reporter announces those as ``running``.
"""

START_MARKER: Final = "failpath.step.start_marker"
"""Span attribute, ``True``: the span stands for the start of the step whose span is its parent, and ends at once.

OpenTelemetry exports spans that have ended, so only such a span can show a step that runs. It also has all attributes
that the step's span has at its start.
"""

METADATA_PREFIX: Final = "failpath.metadata."
"""Prefix of span attributes that hold metadata: a scalar, or a list of scalars of one type."""

METADATA_JSON_PREFIX: Final = "failpath.metadata_json."
"""Prefix of span attributes that hold metadata of any other JSON type, as JSON text."""

Status = Literal["running", "success", "error", "skipped"]
"""The statuses of Failpath's documentation."""

STATUS_RUNNING: Final = "running"
STATUS_SUCCESS: Final = "success"
STATUS_ERROR: Final = "error"
STATUS_SKIPPED: Final = "skipped"

STATUSES: Final = (STATUS_RUNNING, STATUS_SUCCESS, STATUS_ERROR, STATUS_SKIPPED)
"""Every status of Failpath's documentation, in the order in which a step can pass them."""

STEP_EVENTS: Final = {f"failpath.step.{status}": status for status in STATUSES}
"""The status that a lifecycle span event of this name reports."""

EVENT_NAMES: Final = {status: name for name, status in STEP_EVENTS.items()}
"""The name of the span event that reports a status."""

EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
"""OpenTelemetry's semantic conventions for a span event that records an exception (stable since 1.23)."""

ERROR_TYPE: Final = "error.type"
"""Span attribute, string, of OpenTelemetry's semantic conventions: the class of an error."""

ERROR_TYPE_OTHER: Final = "_OTHER"
"""The value of :data:`ERROR_TYPE` where an instrumentation has no name for an error."""

STACK_GIVEN: Final = "failpath.error.stack_given"
"""Span attribute, ``True``: the stack of a manual error is a text of the caller, and is sent in any case."""

HTTP_STATUS_CODES: Final = ("http.response.status_code", "http.status_code")
"""OpenTelemetry's names of the status of an HTTP answer: the stable one, and the one before."""

RPC_SYSTEMS: Final = ("rpc.system.name", "rpc.system")
"""OpenTelemetry's names of the system of a remote call, as ``grpc``: the newer one, and the one before."""

RPC_GRPC_STATUS_CODE: Final = "rpc.grpc.status_code"
"""Span attribute, int, of OpenTelemetry's conventions: the code with which a call by gRPC has ended."""

RPC_RESPONSE_STATUS_CODE: Final = "rpc.response.status_code"
"""The newer one: a string; of gRPC the name of its code, of other systems any text."""

CELERY_STATE: Final = "celery.state"
"""Span attribute of OpenTelemetry's instrumentation of Celery: the state of the task at the end of this attempt."""

CELERY_RETRY_REASON: Final = "celery.retry.reason"
"""The same: why there is another attempt, as ``Retry in 5s: TimeoutError()``."""

TEMPORAL_WORKFLOW_ID: Final = "temporalWorkflowID"
"""Span attribute of Temporal's Python SDK: the id of the workflow."""
