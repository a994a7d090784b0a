"""The span processor: reports ``running`` the moment a step's span starts, and the outcome when it ends."""

import asyncio
import contextlib
from time import monotonic
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext

from failpath_otel import limits
from failpath_otel.export.ending import patience
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.options import Options, seconds
from failpath_otel.export.pipeline import Pipeline
from failpath_otel.export.process import ThisProcess
from failpath_otel.export.record import encode
from failpath_otel.export.stats import Stats, add_up
from failpath_otel.export.translation import (
    StepStart,
    judged_outcome,
    outcome_record,
    plain_attributes,
    read_start,
    running_record,
    span_records,
    stated_outcome,
    trusted_start,
)
from failpath_otel.report import report_fault
from failpath_otel.semconv import STEP_KEY, STEP_START, STEP_STATUS

_SpanKey = tuple[int, int]


class FailpathSpanProcessor(SpanProcessor):
    """Sends every span that is a step to Failpath, live; other spans pass by.

    For those who wire a tracer provider by hand; :func:`failpath_otel.configure` adds one by itself. Delivery has a
    thread of its own; nothing here blocks or raises into the application.

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
        self._options = Options.resolve(project_key, endpoint, capture_stack=capture_stack)
        self._process = ThisProcess()
        # How the step began, where its start went, whether that was accepted, and whether its stack is wanted.
        self._open: dict[_SpanKey, tuple[StepStart, Pipeline, bool, bool]] = {}
        self._disregarded: set[_SpanKey] = set()
        # The last one takes what begins; earlier ones deliver what they have, and the outcomes of what began there.
        self._pipelines = [_pipeline(self._options)]
        self._past = Stats(0, 0, 0)  # of pipelines that are gone
        after_fork_in_child(self._in_child)

    def reconfigure(self, options: Options) -> None:
        """From now on, steps that begin go where ``options`` say; open ones end where they began."""
        if options == self._options and not self._pipelines[-1].closed:
            return
        self._options = options
        self._pipelines.append(_pipeline(options))
        self._pipelines[-2].retire()
        # Not the one that was retired just now: a step that begins on another thread may be about to use it.
        for pipeline in self._pipelines[:-2]:
            if pipeline.is_idle():
                self._past = add_up((self._past, pipeline.stats()))
                pipeline.shutdown(0)
                self._pipelines.remove(pipeline)

    def _in_child(self) -> None:
        # Only the process that opened a step ends it; here its span will end a second time.
        self._disregarded |= self._open.keys()
        self._open = {}
        self._past = Stats(0, 0, 0)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Reports ``running`` if ``span`` is a step, unless it is the record of an event that is over."""
        try:
            marker: Any = None if parent_context is None else parent_context.get(STEP_START)
            if marker is not None and marker.seen is None and span.name == marker.attributes.get(STEP_KEY):
                if marker.owner not in (None, self):
                    self.disregard(span.get_span_context())
                    return
                start = trusted_start(span, marker.attributes)
            else:  # somebody else's span, perhaps one that a processor of the host has opened in the same context
                found = read_start(span)
                if found is None:
                    return
                start = found
            if marker is not None and marker.seen is None:
                marker.seen = span
            pipeline = self._pipelines[-1]
            accepted = not start.manual and pipeline.put_start(encode(running_record(start, self._process.info)))
            context = span.get_span_context()
            self._open[context.trace_id, context.span_id] = (start, pipeline, accepted, self._options.capture_stack)
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            report_fault("reporting the start of a step")
            self.lose()

    def on_end(self, span: ReadableSpan) -> None:
        """Reports the outcome if ``span`` is a step."""
        try:
            context = span.context
            if context is None:
                return
            key = (context.trace_id, context.span_id)
            opened = self._open.pop(key, None)
            if opened is not None:
                self._end(span, *opened)
            elif key in self._disregarded:
                self._disregarded.discard(key)
            else:
                # Most often no step at all; else one that began before this processor was there.
                for record in span_records(span, self._process.info, capture_stack=self._options.capture_stack):
                    self._pipelines[-1].put(encode(record))
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            report_fault("reporting the end of a step")
            self.lose()

    def _end(
        self,
        span: ReadableSpan,
        start: StepStart,
        pipeline: Pipeline,
        accepted: bool,  # noqa: FBT001 - as it stands in the table
        capture_stack: bool,  # noqa: FBT001
    ) -> None:
        process = self._process.info
        try:
            attributes = plain_attributes(span)
            status = stated_outcome(attributes) or judged_outcome(start, span, attributes)
            attributes.pop(STEP_STATUS, None)
            if status is None:
                record = running_record(start, process)
            else:
                record = outcome_record(start, span, status, attributes, process, capture_stack, not start.manual)
            data = encode(record)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            report_fault("reading a span that has ended")
            if accepted:
                pipeline.lose_outcome("invalid")
            else:
                pipeline.lose("invalid")
            return
        if accepted:
            pipeline.put_outcome(data, record)
        elif start.manual:
            pipeline.put(data)
        else:
            pipeline.refuse()  # as its start was; alone, it would take the place of a step that is whole

    def make_sure_of_end(self, span: ReadableSpan) -> None:
        """Reports the outcome of a step that has ended, if :meth:`on_end` was not called for it."""
        context = span.context
        if context is not None and (context.trace_id, context.span_id) in self._open:
            self.on_end(span)

    def lose(self, records: int = 1) -> None:
        """Counts records that could not be made."""
        for _ in range(records):
            self._pipelines[-1].lose("invalid")

    def disregard(self, context: SpanContext) -> None:
        """Leaves alone the span with ``context`` when it ends: another one is recorded in its place."""
        self._disregarded.add((context.trace_id, context.span_id))

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Waits at most ``timeout`` seconds until every record so far was delivered.

        Returns:
            Whether every record of this process so far, since it began or was forked, was really delivered. A record
            that is lost makes this ``False`` for good; :meth:`stats` tells how many and why.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
        """
        deadline = monotonic() + seconds("timeout", timeout)
        complete = [pipeline.flush(max(deadline - monotonic(), 0)) for pipeline in self._pipelines]
        return all(complete) and not self._past.dropped

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop and without another thread."""
        deadline = monotonic() + seconds("timeout", timeout)
        complete = [await _wait_for(pipeline, max(deadline - monotonic(), 0)) for pipeline in self._pipelines]
        return all(complete) and not self._past.dropped

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """OpenTelemetry's name for :meth:`flush`, in milliseconds."""
        return self.flush(patience(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Flushes for at most 5 s (2 s at the end of the interpreter), then takes no more records."""
        self.close(patience(limits.FLUSH_TIMEOUT))

    def close(self, timeout: float) -> bool:
        """Flushes for at most ``timeout`` seconds, then takes no more records; returns what the flush said."""
        deadline = monotonic() + seconds("timeout", timeout)
        complete = [pipeline.shutdown(max(deadline - monotonic(), 0)) for pipeline in self._pipelines]
        return all(complete) and not self._past.dropped

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return add_up((self._past, *(pipeline.stats() for pipeline in self._pipelines)))


def _pipeline(options: Options) -> Pipeline:
    # Here, because `requests` takes as long to import as OpenTelemetry does, and only who delivers needs it.
    from failpath_otel.export.delivery import Delivery  # noqa: PLC0415

    return Pipeline(Delivery(options))


async def _wait_for(pipeline: Pipeline, timeout: float) -> bool:
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[bool] = loop.create_future()

    def settle(in_time: bool) -> None:  # noqa: FBT001 - called by the loop
        if not settled.done():
            settled.set_result(in_time)

    def notify() -> None:
        # A loop that was closed meanwhile raises; nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, True)  # noqa: FBT003

    cancel = pipeline.watch(notify)
    if cancel is None:
        return pipeline.lossless
    # Not `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes at the wrong moment.
    timer = loop.call_later(timeout, settle, False)  # noqa: FBT003
    try:
        return await settled and pipeline.lossless
    finally:
        timer.cancel()
        cancel()
