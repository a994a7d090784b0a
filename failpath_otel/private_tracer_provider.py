"""The private tracer provider, for steps that the provider of the application would not report (decision 0003)."""

import inspect
import random
from typing import Any, Final

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracer, Span, Tracer

from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.step_state import SpanIds

_SPAN_LIMITS: Final = 512
_OF: Final = ("attributes", "events", "links", "span_attributes", "event_attributes", "link_attributes")


class _OwnIds(IdGenerator):
    """Random ids that a ``random.seed`` of the program does not repeat, in this process or a forked one."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - ids, not secrets
        after_fork_in_child(self._random.seed)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1


class PrivateTracer:
    """The tracer of a private provider, which is made when it is first needed.

    The provider samples everything, feeds ``processor`` alone, is not shut down at exit, and ignores all ``OTEL_*``
    variables but ``OTEL_SDK_DISABLED``.
    """

    def __init__(self, processor: SpanProcessor, name: str, version: str) -> None:
        self._processor: Final = processor
        self._scope: Final = name, version
        self._ids: Final = _OwnIds()
        self._made: tuple[Tracer, Any] | None = None

    def tracer(self) -> Tracer:
        """Return the tracer."""
        return (self._made or self._make())[0]

    def _make(self) -> tuple[Tracer, Any]:
        # Without it, the provider reports metrics about itself to the host's meter provider; older SDKs have neither.
        more: dict[str, Any] = {}
        if "meter_provider" in inspect.signature(TracerProvider).parameters:
            more["meter_provider"] = NoOpMeterProvider()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({}),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(
                **{f"max_{what}": _SPAN_LIMITS for what in _OF},
                max_attribute_length=SpanLimits.UNSET,
                max_span_attribute_length=SpanLimits.UNSET,
            ),
            **more,
        )
        provider.add_span_processor(self._processor)
        tracer = provider.get_tracer(*self._scope)
        # With OTEL_SDK_DISABLED there are no spans, and so no steps.
        processors = None if isinstance(tracer, NoOpTracer) else getattr(provider, "_active_span_processor", None)
        made = self._made = tracer, processors
        return made

    def new_ids(self, parent: object) -> SpanIds | None:
        """Return the ids of a lean span below ``parent``: a span, the ids of a lean one, or nothing.

        Returns:
            ``None`` where spans are needed: something in the process has given the provider another processor, which
            would see them, or the SDK is disabled.
        """
        made = self._made or self._make()
        # Tools that patch the SDK add processors to every provider; nothing public shows them.
        if len(getattr(made[1], "_span_processors", ())) != 1:
            return None
        if type(parent) is tuple:
            trace_id: int = parent[0]
        elif isinstance(parent, Span):
            trace_id = parent.get_span_context().trace_id
        else:
            trace_id = self._ids.generate_trace_id()
        return trace_id, self._ids.generate_span_id()
